"""The addresses of what visitors do with their place (`actions.py`), and which requests may ask for it."""

from collections.abc import Mapping
from typing import Final

from edge.decision.cors import fields_for
from edge.decision.negotiation import wants_page
from edge.decision.responses import Responses
from edge.decision.status_query import room_in
from edge.decision.visits import VISIT, kind_of
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer
from edge.rooms.room import Room
from edge.rooms.table import RoomTable

__all__ = ["ACTIONS", "classify_action"]

#: The paths, with the methods that they take.
ACTIONS: Final[Mapping[str, str]] = {
    "/_stanchion/here": "POST",
    "/_stanchion/leave": "POST",
    "/_stanchion/join": "POST",
    "/_stanchion/transfer": "POST",
    "/_stanchion/move": "GET, POST",
}


def classify_action(
    head: RequestHead, path: str, query: str, rooms: RoomTable, responses: Responses, shared_domain: str
) -> tuple[Answer | None, Room | None]:
    """Return the room of an action, or a refusal. path: one of ACTIONS. shared_domain: `cookies.domain`."""
    page, language = wants_page(head.accept, head.fetch_mode), responses.language(head.accept_language)
    if head.method not in ACTIONS[path].split(", "):
        return responses.problem(405, wants_page=page, language=language, allow=ACTIONS[path]), None
    room = rooms.by_name.get(room_in(query.partition("&t=")[0]))
    if room is None:
        return responses.problem(404, wants_page=page, language=language), None
    # A link to move a place is opened from anywhere; its page has a button of this site.
    is_ours = head.method == "GET" or kind_of(head, shared_domain) == VISIT
    if not is_ours and not (room.has_cors and fields_for(room.settings.cors, head)):
        detail = "this address takes no requests of other sites"
        return responses.problem(403, wants_page=page, language=language, detail=detail), None
    return None, room

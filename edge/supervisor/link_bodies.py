"""The bodies of requests that make links (`link_api.py`)."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from edge.settings.values import Text
from edge.supervisor.link_control import MOST_AT_ONCE, MOST_SECONDS

__all__ = ["LINK_BODIES", "InvitesWanted", "StaffLinksWanted"]

Seconds = Annotated[float, Field(ge=1, le=MOST_SECONDS, allow_inf_nan=False)]


class StaffLinksWanted(BaseModel):
    """What is asked for. expires_in_seconds: how long the links count. url: where they lead to; without it the response
    has tokens alone. note: for the audit trail."""

    model_config = ConfigDict(extra="forbid", strict=True)

    count: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] = 1
    expires_in_seconds: Seconds = 86_400.0
    url: Annotated[Text, Field(max_length=2000)] | None = None
    note: Annotated[Text, Field(max_length=500)] | None = None


class InvitesWanted(StaffLinksWanted):
    """uses: how many browsers may open each invite; 0 for any number."""

    lane: Annotated[str, Field(min_length=1, max_length=32)]
    uses: Annotated[int, Field(ge=0, le=1000)] = 1


#: By the name of their schema in the OpenAPI document.
LINK_BODIES: Final[dict[str, type[BaseModel]]] = {
    "InvitesWanted": InvitesWanted,
    "StaffLinksWanted": StaffLinksWanted,
}

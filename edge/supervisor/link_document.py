"""The part of the OpenAPI document that describes invites and staff links (`link_api.py`)."""

from typing import Any, Final

from waiting_room.links import BATCH_CHARACTERS, LINK_CHARACTERS

__all__ = ["LINK", "links_schema", "revoked_schema"]

LINK: Final = {
    "name": "link",
    "in": "path",
    "required": True,
    "description": "The id of a link, or of a batch of links.",
    "schema": {
        "type": "string",
        "pattern": f"^([A-Za-z0-9_-]{{{BATCH_CHARACTERS}}}|[A-Za-z0-9_-]{{{LINK_CHARACTERS}}})$",
    },
}


def links_schema() -> dict[str, Any]:
    """Return the schema of links that were made."""
    link = {
        "type": "object",
        "required": ["id", "token", "url"],
        "properties": {
            "id": {"type": "string", "description": "For the audit trail, and to revoke it."},
            "token": {"type": "string", "description": "The value of the parameter. It lets in: treat it as a secret."},
            "url": {"type": ["string", "null"]},
        },
    }
    properties: dict[str, Any] = {
        "room": {"type": "string"},
        "batch": {"type": "string", "description": "Revokes all of them."},
        "count": {"type": "integer"},
        "lane": {"type": ["string", "null"]},
        "uses": {"type": "integer", "description": "Browsers that may open each; 0 for any number."},
        "expires_at": {"type": "string", "format": "date-time"},
        "links": {"type": "array", "items": link},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def revoked_schema() -> dict[str, Any]:
    """Return the schema of a revocation."""
    properties = {"room": {"type": "string"}, "revoked": {"type": "string"}}
    return {"type": "object", "required": list(properties), "properties": properties}

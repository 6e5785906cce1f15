"""Log lines: JSON for programs, text on a terminal. Cookies and secrets never appear in one.

A line carries named facts (`extra=facts(name=value)`), never a request's header fields, so there is nothing to redact.
The formatters print what they get and nothing else.
"""

import json
import logging
import sys
from typing import TextIO

from edge.settings.model import LogSettings
from waiting_room.status import timestamp

__all__ = ["configure_logging", "facts"]

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def facts(**named: object) -> dict[str, object]:
    """Return the `extra` argument that carries named facts into a log line."""
    return {"facts": named}


def configure_logging(settings: LogSettings, node: str, stream: TextIO | None = None) -> None:
    """Send this process's log to `stream`, by default standard error. node: the name of this process in the log."""
    out = stream or sys.stderr
    as_text = settings.format == "text" or (settings.format == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(_Text(node) if as_text else _Json(node))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[settings.level])
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    # Operators' changes are logged at every level.
    logging.getLogger("edge.audit").setLevel(logging.INFO)


class _Json(logging.Formatter):
    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "node": self._node,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class _Text(logging.Formatter):
    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def format(self, record: logging.LogRecord) -> str:
        named = "".join(f"  {name}={_plain(value)}" for name, value in getattr(record, "facts", {}).items())
        line = f"{timestamp(record.created)[11:23]} {record.levelname.lower():7} {self._node}: {record.getMessage()}"
        trace = "\n" + self.formatException(record.exc_info) if record.exc_info else ""
        return line + named + trace


def _plain(value: object) -> str:
    """Return a value as one printable word, even if a client chose its characters."""
    text = str(value)
    return text if text.isprintable() and " " not in text else json.dumps(text)

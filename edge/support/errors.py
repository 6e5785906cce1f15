"""All errors of the edge, by the side that has to act on them.

    EdgeError
     +- ClientError           a request that cannot be served: its sender has to change it           status 400
     +- UpstreamError         another server failed, or what it sent cannot be used                  status 502
     +- ConfigurationError    the settings or the environment are wrong: the operator has to act     no status
     +- InternalError         a defect in Stanchion itself: a state that cannot be reached           status 500

The text of an error says what is wrong, where, and what to do about it if that is not obvious. `facts` are named values
for a log line. `status` is the HTTP status that a visitor gets, or None for an error that no visitor can meet.
"""

from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "ClientError",
    "ConfigurationError",
    "EdgeError",
    "InternalError",
    "SettingFault",
    "UpstreamError",
]


class EdgeError(Exception):
    """Base of all errors of the edge."""

    status: ClassVar[int | None] = None

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.facts = facts


class ClientError(EdgeError):
    """A request cannot be served as it was sent. Its sender has to change it."""

    status: ClassVar[int] = 400


class UpstreamError(EdgeError):
    """Another server (the shop, another machine, an admin listener) failed, or what it sent cannot be used."""

    status: ClassVar[int] = 502


class InternalError(EdgeError):
    """Stanchion is in a state that its own code should never reach. Report it with the traceback."""

    status: ClassVar[int] = 500


@dataclass(frozen=True, slots=True)
class SettingFault:
    """One fault in the settings. path: `rooms[0].capacity.admissions_per_second`, or '' for the whole file."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigurationError(EdgeError):
    """The settings cannot be used. The operator has to correct them.

    source: the file or option that the faults are in. faults: all of them, so that one report is enough.
    """

    def __init__(self, source: str, faults: list[SettingFault]) -> None:
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        text = "\n".join([f"{source}: {count}", *(f"  {fault}" for fault in faults)])
        super().__init__(text, source=source, faults=[str(fault) for fault in faults])
        self.source = source
        self.faults = faults

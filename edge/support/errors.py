"""The ways a start can fail by configuration: reported in one go, each with its path, and exit code 2."""

from dataclasses import dataclass

__all__ = ["ConfigurationError", "Fault"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. path: as in `rooms[0].capacity.admissions_per_second`, '' for the whole file."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigurationError(Exception):
    """The settings cannot be used. The fault is the operator's; all of them are in `faults`."""

    def __init__(self, source: str, faults: list[Fault]) -> None:
        super().__init__(source, faults)
        self.source = source
        self.faults = faults

    def __str__(self) -> str:
        count = f"{len(self.faults)} fault{'s' if len(self.faults) > 1 else ''}"
        return "\n".join([f"{self.source}: {count}", *(f"  {fault}" for fault in self.faults)])

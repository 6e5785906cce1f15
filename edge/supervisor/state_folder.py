"""Files in which a supervisor keeps what must outlive a crash of all its processes.

    <state folder>/<digest of the settings file's path>/<name>.json        0600, in a folder that is 0700

The state folder is `state_folder` of the settings, or the first of these that can be written:

    $STATE_DIRECTORY                          systemd sets it (`StateDirectory=`)
    $XDG_STATE_HOME/stanchion                 if it is set
    /var/lib/stanchion                        if an administrator made it
    ~/.local/state/stanchion

So two edges on one machine, which have two settings files, never share a file. Without a folder nothing is kept, and
the edge works: a restart then begins with the settings file alone.

A file is replaced as a whole (write beside it, then rename), so a reader sees the old or the new content, never a part.
A file that cannot be read or written is logged once for each fault and costs nothing else.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from edge.operations.logs import facts

__all__ = ["StateFolder"]

log = logging.getLogger("edge.state")

OFF = "off"
AUTO = "auto"


class StateFolder:
    """The files of one edge. folder: None keeps nothing."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._logged: set[str] = set()

    def __repr__(self) -> str:
        return f"<StateFolder {self.folder or 'off'}>"

    @classmethod
    def find(cls, wanted: str, settings_file: Path, environment: Mapping[str, str]) -> "StateFolder":
        """Return the folder that the settings ask for. wanted: 'auto', 'off' or a path; a relative one starts at the
        settings file."""
        if wanted == OFF:
            return cls()
        own = sha256(str(settings_file.absolute()).encode()).hexdigest()[:12]
        reason: OSError | None = None
        candidates = _automatic(environment) if wanted == AUTO else iter([settings_file.parent / wanted])
        for candidate in candidates:
            try:
                (candidate / own).mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as fault:
                reason = fault
                continue
            if os.access(candidate / own, os.W_OK | os.X_OK):
                return cls(candidate / own)
            reason = PermissionError(f"{candidate / own} cannot be written")
        log.warning("no state is kept over a restart: %s", reason, extra=facts(state_folder=wanted))
        return cls()

    def read(self, name: str) -> dict[str, Any] | None:
        """Return the content of a file; None if there is none or it cannot be read."""
        if self.folder is None:
            return None
        try:
            value = json.loads((self.folder / f"{name}.json").read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as fault:
            self._log(name, f"cannot be read and is ignored: {fault}")
            return None
        if isinstance(value, dict):
            return value
        self._log(name, "is not an object and is ignored")
        return None

    def write(self, name: str, value: Mapping[str, Any], *, durably: bool = False) -> None:
        """Replace a file. durably: the content outlives a power failure too, not only a killed process."""
        if self.folder is None:
            return
        beside = self.folder / f".{name}.{os.getpid()}"
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(value, file)
                file.flush()
                if durably:
                    os.fsync(descriptor)
            beside.replace(self.folder / f"{name}.json")
        except OSError as fault:
            self._log(name, f"cannot be written: {fault}")

    def _log(self, name: str, problem: str) -> None:
        if problem not in self._logged:
            self._logged.add(problem)
            log.warning("the state file %s", problem, extra=facts(file=f"{self.folder}/{name}.json"))


def _automatic(environment: Mapping[str, str]) -> Iterator[Path]:
    if given := environment.get("STATE_DIRECTORY", "").partition(":")[0]:
        yield Path(given)
        return
    if given := environment.get("XDG_STATE_HOME", ""):
        yield Path(given) / "stanchion"
        return
    shared = Path("/var/lib/stanchion")
    if shared.is_dir() and os.access(shared, os.W_OK):
        yield shared
    yield Path(environment["HOME"]) / ".local" / "state" / "stanchion" if "HOME" in environment else shared

"""`stanchion check`: every fault of a settings file, and warnings about what it needs from this machine and network.

A fault is in the file: `stanchion run` refuses it. A warning is about what surrounds the file and may be different
elsewhere or later: a secret that is not set in this shell, a key file that others can read, a shop that does not
answer. Warnings do not change the exit code, except with `--strict`.
"""

import asyncio
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.cli.check_lanes import lane_warnings
from edge.cli.check_network import network_warnings
from edge.cli.check_pages import page_warnings
from edge.cli.check_sales import sale_warnings
from edge.settings.loading import load_settings, read_keys
from edge.settings.model import Settings
from edge.supervisor.admin_tokens import AdminTokens
from edge.supervisor.webhooks import read_webhook_secrets
from edge.support.errors import ConfigurationError, SettingFault
from edge.support.paths import PathSet

__all__ = ["Report", "check"]

#: Paths that no narrow pattern covers, in the form in which rooms match them.
ANY_PATHS = ("/", "/some/page/", "/some-image.html/")


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. settings: None if the file has faults."""

    file: Path
    settings: Settings | None
    faults: tuple[SettingFault, ...] = ()
    warnings: tuple[SettingFault, ...] = ()

    def as_json(self) -> str:
        document = {"file": str(self.file), "valid": not self.faults, "faults": _documents(self.faults)}
        return json.dumps({**document, "warnings": _documents(self.warnings)})

    def as_text(self) -> str:
        """Return one line. The warnings stand apart, because they go to standard error."""
        if self.settings is None:
            return str(ConfigurationError(str(self.file), list(self.faults)))
        rooms = self.settings.rooms
        names = ", ".join(room.name for room in rooms)
        return f"{self.file}: no faults; {len(rooms)} room{'s' if len(rooms) > 1 else ''}: {names}"


def check(file: Path, *, asks_network: bool, environment: Mapping[str, str] = os.environ) -> Report:
    """Return the report of a settings file. asks_network: whether to ask the upstream and Redis, for some seconds."""
    try:
        settings = load_settings(file)
    except ConfigurationError as error:
        return Report(file, None, faults=tuple(error.faults))
    warnings = [
        *_about_secrets(settings, file, environment),
        *_about_files(settings, file.parent),
        *_about_rooms(settings),
        *page_warnings(settings),
        *sale_warnings(settings),
        *lane_warnings(settings),
    ]
    if asks_network:
        warnings += asyncio.run(network_warnings(settings, environment))
    return Report(file, settings, warnings=tuple(warnings))


def _documents(faults: tuple[SettingFault, ...]) -> list[dict[str, str]]:
    return [{"path": fault.path, "message": fault.message} for fault in faults]


def _about_secrets(settings: Settings, file: Path, environment: Mapping[str, str]) -> list[SettingFault]:
    """Return what `stanchion run` would say about secrets in this environment."""
    found: list[SettingFault] = []
    try:
        read_keys(settings, environment)
    except ConfigurationError as error:
        found += error.faults
    try:
        AdminTokens().use(settings, file.parent, environment)
    except ConfigurationError as error:
        found += error.faults
    try:
        read_webhook_secrets(settings, environment)
    except ConfigurationError as error:
        found += error.faults
    value = settings.bypass_for.header_value_env
    if value is not None and not environment.get(value, "").strip():
        why = f"the environment variable {value} is not set or empty, so no request passes by the header field"
        found.append(SettingFault("bypass_for.header_value_env", why))
    password = settings.cluster.redis_password_env
    if password is not None and not environment.get(password):
        found.append(
            SettingFault("cluster.redis_password_env", f"the environment variable {password} is not set or empty")
        )
    return found


def _about_files(settings: Settings, folder: Path) -> list[SettingFault]:
    """Return warnings about files with secrets that other users of the machine can read or replace."""
    named = (
        ("secret_keys_file", settings.secret_keys_file),
        ("admin.tokens_file", settings.admin.tokens_file),
        ("upstream.tls.client_key", settings.upstream.tls.client_key),
        *((f"listen[{at}].key", listener.key) for at, listener in enumerate(settings.listen)),
    )
    return [each for path, file in named if file is not None for each in private_file_warnings(path, folder / file)]


def private_file_warnings(path: str, file: Path) -> list[SettingFault]:
    """Return a warning if others can read or write a file. path: the setting that names it. A missing file has none."""
    try:
        mode = file.stat().st_mode
    except OSError:
        return []
    if not stat.S_ISREG(mode):
        return []
    can = [word for bit, word in ((stat.S_IROTH, "read"), (stat.S_IWOTH | stat.S_IWGRP, "write")) if mode & bit]
    if not can:
        return []
    message = f"other users can {' and '.join(can)} {file} (mode {stat.S_IMODE(mode):04o}); run: chmod 600 {file}"
    return [SettingFault(path, message)]


def _about_rooms(settings: Settings) -> list[SettingFault]:
    """Return warnings about rooms that cover a whole site."""
    found = []
    for at, room in enumerate(settings.rooms):
        covers, bypass = PathSet(room.match.paths), PathSet([*settings.bypass, *room.match.bypass])
        if not all(covers.covers(path, "") and not bypass.covers(path, "") for path in ANY_PATHS):
            continue
        host = room.match.host
        of = "every page of every host" if host == "*" else f"every page of {host}"
        message = (
            f"this room covers {of}: visitors stand in line before they see the first page, and each request of a page"
            " without a pass waits. Name the pages that need protection, such as /checkout*"
        )
        found.append(SettingFault(f"rooms[{at}].match.paths", message))
    return found

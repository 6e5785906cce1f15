"""Tokens of the admin listener: each has a role, and the role says what it may do.

    view       read status, metrics and rooms
    operate    also change rooms and lists, and let the settings be read again
    admin      everything

`admin.token_env` names an environment variable with one token of the role `admin`. `admin.tokens_file` is a file with
one token a line, `ROLE NAME TOKEN`; NAME stands in the audit trail. TOKEN may be `sha256:` and the token's digest in
hexadecimal, so that the file holds no secret. Lines that begin with `#` are comments. The file is read again at HUP.

Without both, a caller of a loopback address may do everything, because such a caller can also end the process.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Literal

from edge.operations.audit import digest
from edge.settings.loading import MIN_KEY_BYTES, read_admin_token
from edge.settings.model import Settings
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["ANYBODY", "ROLES", "AdminTokens", "Caller", "Role"]

Role = Literal["view", "operate", "admin"]
ROLES: tuple[Role, ...] = ("view", "operate", "admin")
_HASHED = "sha256:"


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller of the admin listener: what the audit trail calls it, and what it may do."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Return whether the caller's role includes this one."""
        return ROLES.index(self.role) >= ROLES.index(role)


ANYBODY = Caller("no token", "admin")


class AdminTokens:
    """The tokens of one edge. `use` replaces them."""

    def __init__(self) -> None:
        self._callers: dict[bytes, Caller] = {}
        self.is_needed = False
        """Whether a caller must show a token."""

    def __repr__(self) -> str:
        return f"<AdminTokens {[caller.name for caller in self._callers.values()]}>"

    def use(self, settings: Settings, folder: Path, environment: Mapping[str, str]) -> None:
        """Take the tokens that the settings name. folder: where a relative path starts.

        Raises ConfigurationError; then the tokens stay as they were.
        """
        callers: dict[bytes, Caller] = {}
        token = read_admin_token(settings, environment)
        if token is not None:
            callers[sha256(token).digest()] = Caller(f"token {digest(token)}", "admin")
        if settings.admin.tokens_file is not None:
            callers |= _tokens_in(folder / settings.admin.tokens_file)
        self._callers = callers
        self.is_needed = bool(callers)

    def caller(self, authorization: str) -> Caller | None:
        """Return the caller of a request by its `Authorization` field; None if the field shows no valid token.

        Every token is compared, and in constant time, so the time tells nothing about any of them.
        """
        if not self.is_needed:
            return ANYBODY
        scheme, _, text = authorization.partition(" ")
        shown = sha256(text.strip().encode("utf-8", "surrogateescape")).digest()
        found = None
        for known, caller in self._callers.items():
            if compare_digest(shown, known):
                found = caller
        return found if scheme.lower() == "bearer" else None


def _tokens_in(file: Path) -> dict[bytes, Caller]:
    source = "the admin tokens"

    def fault(problem: str) -> ConfigurationError:
        return ConfigurationError(source, [SettingFault("admin.tokens_file", f"{file}{problem}")])

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise fault(f" cannot be read: {error}") from None
    found: dict[bytes, Caller] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = line.split()
        if len(parts) != 3 or parts[0] not in ROLES:
            raise fault(f", line {number}: must be ROLE NAME TOKEN, with ROLE one of {', '.join(ROLES)}")
        role, name, token = parts
        try:
            key = bytes.fromhex(token[len(_HASHED) :]) if token.startswith(_HASHED) else b""
        except ValueError:
            key = b"?"
        if token.startswith(_HASHED) and len(key) != sha256().digest_size:
            raise fault(f", line {number}: must be sha256: and 64 hexadecimal digits")
        if not key and (len(token) < MIN_KEY_BYTES or not token.isascii()):
            raise fault(
                f", line {number}: the token must have at least {MIN_KEY_BYTES} ASCII characters;"
                " make one with: stanchion keygen"
            )
        key = key or sha256(token.encode()).digest()
        if key in found:
            raise fault(f", line {number}: this token is already that of {found[key].name}")
        found[key] = Caller(name, ROLES[ROLES.index(role)])
    if not found:
        raise fault(" holds no token; add a line: admin NAME TOKEN")
    return found

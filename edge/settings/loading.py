"""Read a YAML file into frozen settings, and the secret keys from where it names them.

All faults of a file are reported together, and faulty settings are never applied in part. YAML's own traps are faults
too (`edge/settings/yaml_text.py`). The file holds no secrets: it names an environment variable or another file that
holds them.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from edge.settings.certificates import with_certificates
from edge.settings.model import Settings
from edge.settings.page_files import with_page_files
from edge.settings.yaml_text import read_yaml
from edge.support.client_tls import client_context
from edge.support.errors import ConfigurationError, SettingFault
from edge.support.networks import networks_in

__all__ = ["load_settings", "parse_keys", "parse_settings", "read_admin_token", "read_keys"]

#: The shortest secret that is accepted: 128 bits if it is random.
MIN_KEY_BYTES = 16
#: Settings that name a file: at the top, and of `upstream.tls`.
FILES = ("secret_keys_file", "pid_file")
TLS_FILES = ("ca_file", "client_certificate", "client_key")
#: pydantic's error types for limits: the limit's name in its context, and the sign that we print.
_BOUNDS = {
    "greater_than": ("gt", ">"),
    "greater_than_equal": ("ge", ">="),
    "less_than": ("lt", "<"),
    "less_than_equal": ("le", "<="),
}
#: pydantic's error types for values of a wrong type, and the type that we ask for.
_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "a mapping",
}


def load_settings(path: Path) -> Settings:
    """Return the settings of a file. Raises ConfigurationError with every fault."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(str(path), [SettingFault("", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(str(path), [SettingFault("", f"is not UTF-8 text: {error}")]) from None
    settings = _from_folder(parse_settings(text, str(path)), path.parent)
    return with_page_files(with_certificates(_with_lists(settings, path), path), path)


def _from_folder(settings: Settings, folder: Path) -> Settings:
    """Return the settings with the paths of single files made absolute. A relative one starts at the settings file."""

    def absolute(section: BaseModel, names: Sequence[str]) -> dict[str, str]:
        files = {name: getattr(section, name) for name in names}
        return {name: str((folder / file).absolute()) for name, file in files.items() if file is not None}

    upstream = settings.upstream
    tls = upstream.tls.model_copy(update=absolute(upstream.tls, TLS_FILES))
    changed = {**absolute(settings, FILES), "upstream": upstream.model_copy(update={"tls": tls})}
    return settings.model_copy(update=changed)


def _with_lists(settings: Settings, path: Path) -> Settings:
    """Return the settings with the networks of their list files. A relative path starts at the settings file."""
    faults: list[SettingFault] = []
    read: dict[str, tuple[str, ...]] = {}
    for name in ("allow", "deny"):
        networks = list(getattr(settings.abuse, name))
        for at, file in enumerate(getattr(settings.abuse, f"{name}_files")):
            where = f"abuse.{name}_files[{at}]"
            try:
                found, problems = networks_in((path.parent / file).read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                faults.append(SettingFault(where, f"{file} cannot be read: {error}"))
                continue
            networks += found
            faults += [SettingFault(where, f"{file}, {each}") for each in problems]
        read[name] = tuple(networks)
    faults += _tls_faults(settings)
    if faults:
        raise ConfigurationError(str(path), faults)
    return settings.model_copy(update={"abuse": settings.abuse.model_copy(update=read)})


def _tls_faults(settings: Settings) -> list[SettingFault]:
    """Return what is wrong with the files that `upstream.tls` names."""
    tls = settings.upstream.tls
    if tls.ca_file is None and tls.client_certificate is None:
        return []
    try:
        client_context(tls.ca_file, tls.client_certificate, tls.client_key)
    except ConfigurationError as error:
        return error.faults
    return []


def parse_settings(text: str, source: str = "settings") -> Settings:
    """Return the settings of a YAML text. source: its name in reports. Raises ConfigurationError with every fault."""
    raw = read_yaml(text, source)
    if not isinstance(raw, dict):
        raise ConfigurationError(
            source, [SettingFault("", "must be a mapping of settings; see configs/reference.yaml")]
        )
    repeated = _repeated_names(raw)
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as found:
        faults = [_fault(error) for error in found.errors(include_url=False) if not _is_echo(error)]
        raise ConfigurationError(source, faults + repeated) from None
    if repeated:
        raise ConfigurationError(source, repeated)
    return settings


def read_admin_token(settings: Settings, environment: Mapping[str, str]) -> bytes | None:
    """Return the token that the admin listener asks for, or None if it asks for none. Raises ConfigurationError."""
    name = settings.admin.token_env
    if name is None:
        return None
    token = environment.get(name, "").strip()
    if len(token) < MIN_KEY_BYTES or not token.isascii():
        fault = (
            f"the environment variable {name} must hold at least {MIN_KEY_BYTES} ASCII characters;"
            " make a token with: stanchion keygen"
        )
        raise ConfigurationError("the admin token", [SettingFault("admin.token_env", fault)])
    return token.encode()


def read_keys(settings: Settings, environment: Mapping[str, str]) -> tuple[bytes, ...]:
    """Return the secret keys, newest first. Raises ConfigurationError."""
    if settings.secret_keys_env is not None:
        path, text = "secret_keys_env", environment.get(settings.secret_keys_env)
        if text is None:
            hint = f'export {settings.secret_keys_env}="$(stanchion keygen)"'
            message = (
                f"the environment variable {settings.secret_keys_env} is not set; make a key once and keep it: {hint}"
            )
            raise ConfigurationError("secret keys", [SettingFault(path, message)])
    else:
        path, file = "secret_keys_file", Path(str(settings.secret_keys_file))
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
            raise ConfigurationError("secret keys", [SettingFault(path, f"{file} cannot be read: {reason}")]) from None
    return parse_keys(text, path)


def parse_keys(text: str, path: str) -> tuple[bytes, ...]:
    """Return the secret keys of a text, newest first. path: where the text stands. Raises ConfigurationError."""
    try:
        keys = tuple(key.encode() for key in re.split(r"[\s,]+", text) if key)
    except UnicodeEncodeError:
        raise ConfigurationError("secret keys", [SettingFault(path, "is not UTF-8 text")]) from None
    if not keys:
        raise ConfigurationError("secret keys", [SettingFault(path, "holds no key; make one with: stanchion keygen")])
    short = [str(at) for at, key in enumerate(keys, 1) if len(key) < MIN_KEY_BYTES]
    if short:
        message = f"key {', '.join(short)} is shorter than {MIN_KEY_BYTES} characters; make one with: stanchion keygen"
        raise ConfigurationError("secret keys", [SettingFault(path, message)])
    return keys


def _repeated_names(raw: Mapping[str, Any]) -> list[SettingFault]:
    """Find repeated room names in the raw file, so that one report holds them and the faults of single values."""
    rooms = raw.get("rooms")
    seen: dict[object, int] = {}
    faults = []
    for at, room in enumerate(rooms if isinstance(rooms, list) else []):
        name = room.get("name") if isinstance(room, dict) else None
        if not isinstance(name, str):
            continue
        if name in seen:
            faults.append(SettingFault(f"rooms[{at}].name", f"{name!r} is already the name of rooms[{seen[name]}]"))
        seen.setdefault(name, at)
    return faults


def _is_echo(error: Mapping[str, Any]) -> bool:
    """Return whether a list is 'too short' only because pydantic does not count its faulty items.

    The items are reported themselves.
    """
    given = error["input"]
    return error["type"] == "too_short" and isinstance(given, list) and len(given) >= error["ctx"]["min_length"]


def _fault(error: Mapping[str, Any]) -> SettingFault:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    return SettingFault(path, _message(error))


def _message(error: Mapping[str, Any]) -> str:
    """Return what is wrong with one value, in our words. error: as pydantic describes it."""
    kind, given, limits = error["type"], error["input"], error.get("ctx", {})
    if kind in _BOUNDS:
        limit, sign = _BOUNDS[kind]
        return f"must be {sign} {limits[limit]:g}, got {_short(given)}"
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}, got {_short(given)}"
    if kind == "extra_forbidden":
        return "unknown key" + _did_you_mean(error["loc"])
    if kind == "missing":
        return "is required"
    if kind == "literal_error":
        return f"must be one of {limits['expected']}, got {_short(given)}"
    if kind == "string_pattern_mismatch":
        return f"must match {limits['pattern']}, got {_short(given)}"
    if kind == "value_error":
        return str(limits["error"])
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}, got {_short(given)}"


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # a number of more than 4,300 digits
        return "a very long number"
    return text if len(text) <= 60 else text[:57] + "..."


def _did_you_mean(location: Sequence[str | int]) -> str:
    section: Any = Settings
    for part in location[:-1]:
        if isinstance(part, str):
            section = _section(section, part)
    names = list(section.model_fields) if section else []
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _section(model: Any, field: str) -> Any:
    """Return the model of a field's values: of the field itself or of its list's items."""
    if model is None or field not in model.model_fields:
        return None
    pending = [model.model_fields[field].annotation]
    while pending:
        annotation = pending.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
        pending.extend(getattr(annotation, "__args__", ()))
    return None

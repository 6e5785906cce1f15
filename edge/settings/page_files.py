"""The files that `rooms[].page` names: found beside the settings file, read once and examined.

Workers get the contents that were read here. So a later change of a file has no effect before a reload, and then on all
workers.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge.settings.face import is_font_file
from edge.settings.fonts import read_font
from edge.settings.model import Settings
from edge.settings.page_template import examine
from edge.settings.room import PageSettings
from edge.settings.style_sheet import faults_in_style_sheet
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["with_page_files"]

#: The largest file, in bytes. Every visitor loads it.
MOST_BYTES: Final = {"template": 65_536, "stylesheet": 131_072, "font": 2_097_152}


def with_page_files(settings: Settings, file: Path) -> Settings:
    """Return the settings with absolute paths of the pages' files, and with what these contain. A relative path starts
    at the settings file. Raises ConfigurationError with every fault."""
    faults: list[SettingFault] = []
    files: dict[str, bytes] = {}
    rooms = []
    for at, room in enumerate(settings.rooms):
        page = room.page
        named = {"template": page.template, "stylesheet": page.stylesheet, "font": page.font}
        if page.font is not None and not is_font_file(page.font):
            del named["font"]
        changed: dict[str, str] = {}
        for key, name in named.items():
            if name is None:
                continue
            path = (file.parent / name).absolute()
            changed[key] = str(path)
            try:
                files[str(path)] = _read(path, MOST_BYTES[key])
                why = _EXAMINED[key](files[str(path)], page)
            except OSError as error:
                why = [f"cannot be read: {error.strerror}"]
            except ValueError as error:
                why = [str(error)]
            faults += [SettingFault(f"rooms[{at}].page.{key}", f"{name}{each}") for each in map(_joined, why)]
        rooms.append(room.model_copy(update={"page": page.model_copy(update=changed)}) if changed else room)
    if faults:
        raise ConfigurationError(str(file), faults)
    return settings.model_copy(update={"rooms": tuple(rooms)}).with_page_files(files) if files else settings


def _joined(why: str) -> str:
    return f", {why}" if why.startswith("line ") else f" {why}"


def _read(path: Path, most: int) -> bytes:
    """Return what a file contains. Raises OSError, and ValueError if it is too large."""
    with path.open("rb") as opened:
        content = opened.read(most + 1)
    if len(content) > most:
        raise ValueError(f"is larger than {most // 1024} KiB; each visitor would load it")
    return content


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: is not UTF-8 text") from None


def _template(content: bytes, page: PageSettings) -> list[str]:
    return [f"line {line}: {why}" for line, why in examine(_text(content), page.sources).faults]


def _style_sheet(content: bytes, page: PageSettings) -> list[str]:
    return [f"line {line}: {why}" for line, why in faults_in_style_sheet(_text(content), page.sources)]


def _font(content: bytes, _: PageSettings) -> list[str]:
    read_font(content)
    return []


_EXAMINED: Final[dict[str, Callable[[bytes, PageSettings], list[str]]]] = {
    "template": _template,
    "stylesheet": _style_sheet,
    "font": _font,
}

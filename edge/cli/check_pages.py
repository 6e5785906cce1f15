"""Warnings of `stanchion check` about the pages of rooms: poor contrast, large files, files that wait in line."""

from collections.abc import Iterator
from gzip import compress
from typing import Final

from edge.rooms.pages import languages_of, pages_of
from edge.settings.face import faint_colors
from edge.settings.model import Settings
from edge.settings.page_template import Findings, examine
from edge.settings.room import PageSettings
from edge.settings.style_sheet import addresses_in_style_sheet, faint_rules
from edge.support.errors import SettingFault
from edge.support.paths import PathSet
from waiting_room.assets import Assets
from waiting_room.status import State, Status

__all__ = ["page_warnings"]

#: The bytes that a page's own files should need at most, compressed: the first round trip of a new connection carries
#: about 14 kB (RFC 6928), and a million visitors load them at once.
LARGE_PAGE: Final = 14_000
LARGE_FONT: Final = 100_000


def page_warnings(settings: Settings) -> list[SettingFault]:
    """Return the warnings about the pages of all rooms."""
    return [
        SettingFault(f"rooms[{at}].page.{key}", why)
        for at, room in enumerate(settings.rooms)
        for key, why in _of_page(settings, room.page, at)
    ]


def _of_page(settings: Settings, page: PageSettings, at: int) -> Iterator[tuple[str, str]]:
    for key, why in faint_colors(page.colors):
        yield f"colors.{key}", why
    if page.logo is not None and (room := _room_that_covers(settings, page.logo)):
        yield "logo", _waits(page.logo, room)
    if page.stylesheet is not None:
        text = settings.page_files[page.stylesheet].decode("utf-8-sig")
        for line, why in faint_rules(text):
            yield "stylesheet", f"line {line}: {why}"
        for line, address in addresses_in_style_sheet(text):
            if room := _room_that_covers(settings, address):
                yield "stylesheet", f"line {line}: {_waits(address, room)}"
    if page.template is not None:
        found = examine(settings.page_files[page.template].decode("utf-8-sig"), page.sources)
        for line, why in found.warnings:
            yield "template", f"line {line}: {why}"
        for line, address in found.addresses:
            if room := _room_that_covers(settings, address):
                yield "template", f"line {line}: {_waits(address, room)}"
        yield from (("template", why) for why in _not_shown(settings, page, found))
    yield from _sizes(settings, page, at)


def _room_that_covers(settings: Settings, address: str) -> str | None:
    """Return the name of a room in which an address waits in line, or None."""
    path = address.partition("?")[0].partition("#")[0]
    for room in settings.rooms:
        bypass = PathSet([*settings.bypass, *room.match.bypass])
        if PathSet(room.match.paths).covers(path) and not bypass.covers(path):
            return room.name
    return None


def _waits(address: str, room: str) -> str:
    return f"{address} waits in line itself, in room {room!r}, so nobody in line sees it; name it in bypass"


def _not_shown(settings: Settings, page: PageSettings, found: Findings) -> Iterator[str]:
    """Yield which settings a template has no slot for."""
    wanted = {
        "links": ("page.links is set", bool(page.links)),
        "footer": ("page.footer is set", page.footer is not None),
        "shop": ("page.logo is set", page.logo is not None),
        "languages": ("visitors cannot choose another language", languages_of(settings).is_choice),
    }
    for slot, (why, is_wanted) in wanted.items():
        if is_wanted and slot not in found.slots:
            yield f"{why}, and the template has no slot {{{{{slot}}}}}"


def _sizes(settings: Settings, page: PageSettings, at: int) -> Iterator[tuple[str, str]]:
    """Yield which files make the page slow."""
    font = settings.page_files.get(page.font or "", b"")
    if len(font) > LARGE_FONT:
        why = f"the font has {len(font) // 1024} KiB, which every visitor loads. As WOFF2 with the letters of your"
        yield "font", f"{why} languages only it has less than {LARGE_FONT // 1000} kB"
    for key in ("template", "stylesheet"):
        if getattr(page, key) is None:
            continue
        room, assets = settings.rooms[at], Assets.load()
        pages = pages_of(room, settings.page_files, assets, languages_of(settings))
        size = len(compress(pages.page("", "").render(Status(State.WAITING, room.name, 12, 60.0, 90.0, 5.0), now=0.0)))
        size += sum(len(asset.gzipped) for asset in assets if asset.content_type.startswith("text/css"))
        if size > LARGE_PAGE:
            why = f"page and style sheets have {size / 1000:.1f} kB compressed"
            yield key, f"{why}, more than the {LARGE_PAGE // 1000} kB that a phone gets in the first round trip"
        return

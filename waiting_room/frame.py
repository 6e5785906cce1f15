"""What the waiting page and the error page have in common: the headers and the links to files.

Rule: a page loads only files of the edge itself, and its headers make the browser enforce that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from waiting_room.assets import Assets
from waiting_room.template import hidden_unless, html
from waiting_room.texts import Texts

__all__ = ["CONTENT_SECURITY_POLICY", "LANGUAGE_PATH", "NO_SOURCES", "PAGE_HEADERS", "Sources", "page_frame"]

LANGUAGE_PATH = "/_stanchion/language"
"""Where a visitor chooses a language (`language_page.py`)."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)


@dataclass(frozen=True, slots=True)
class Sources:
    """Other origins from which a room's page may load. The scripts of the page may send requests to `connections`."""

    images: Sequence[str] = ()
    styles: Sequence[str] = ()
    fonts: Sequence[str] = ()
    scripts: Sequence[str] = ()
    connections: Sequence[str] = ()

    def policy(self) -> str:
        """Return the content security policy of a page that the shop has styled. Nothing inline is ever allowed."""

        def named(origins: Sequence[str]) -> str:
            return " ".join(["'self'", *origins])

        return (
            f"default-src 'none'; script-src {named(self.scripts)}; worker-src 'self'; style-src {named(self.styles)}; "
            f"connect-src {named(self.connections)}; img-src {named(self.images)}; font-src {named(self.fonts)}; "
            f"media-src {named(self.images)}; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
        )


NO_SOURCES: Final = Sources()

PAGE_HEADERS: Mapping[str, str] = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
"""Fixed headers of the waiting page and of every error page."""


def page_frame(assets: Assets, texts: Texts, *, has_choice: bool = False) -> dict[str, bytes]:
    """Return the values that all templates need beside their texts. has_choice: link to the choice of a language."""
    return {
        "language": html(texts.language),
        "direction": html(texts.direction),
        "css": html(assets.url("waiting.css")),
        "icon": html(assets.url("icon.svg")),
        "no_language": hidden_unless(has_choice),
        "language_url": html(f"{LANGUAGE_PATH}?in={texts.language}"),
        "language_name": html(texts.name),
        "label_language": html(texts.get("labels", "language")),
    }

"""The page on which a visitor chooses a language. It works without scripts and never reloads itself.

    waiting page --link--> /_stanchion/language?in=de        a list of links; the page is in the language `in`
                           /_stanchion/language?to=fr&back=/checkout
                               --303 and the cookie--> /checkout

Where the visitor came from stands in `back`. It is a path of the same host, so no link leads to another site.
"""

from typing import Final
from urllib.parse import parse_qs, quote

from waiting_room.assets import Assets
from waiting_room.frame import LANGUAGE_PATH, page_frame
from waiting_room.language_choice import Languages
from waiting_room.template import Template, html

__all__ = ["LanguagePage", "language_query", "safe_path"]

MOST_CHARS: Final = 4096
SAFE: Final = "/?&=%:@!$'()*+,;~-._"


class LanguagePage:
    def __init__(self, assets: Assets, languages: Languages) -> None:
        self._assets, self._languages = assets, languages

    def render(self, language: str, back: str) -> bytes:
        """Return the page in an offered language. back: a safe path."""
        texts = self._languages.texts(language)
        values = page_frame(assets=self._assets, texts=texts) | {
            "title": html(texts.get("languages", "title")),
            "label_back": html(texts.get("languages", "back")),
            "back": html(back),
            "list": b"".join(self._link(name, name == language, back) for name in self._languages.names),
        }
        return Template.load("language.html").join(values)

    def _link(self, language: str, is_current: bool, back: str) -> bytes:
        href = f"{LANGUAGE_PATH}?to={language}&back={quote(back, safe='/')}"
        current = b' aria-current="true"' if is_current else b""
        name, tag = html(self._languages.names[language]), html(language)
        return b'<li><a href="%b" lang="%b" hreflang="%b"%b><bdi>%b</bdi></a></li>\n' % (
            html(href),
            tag,
            tag,
            current,
            name,
        )


def language_query(query: str) -> dict[str, str]:
    """Return the parameters of a query, the last value of each; none of a query that is too long."""
    if len(query) > MOST_CHARS:
        return {}
    try:
        return {name: values[-1] for name, values in parse_qs(query, max_num_fields=8).items()}
    except ValueError:
        return {}


def safe_path(path: str) -> str:
    """Return a path of this host, percent-encoded, or `/` if it may lead elsewhere: `//host`, `/\\host`, a scheme."""
    if not path.startswith("/") or path[1:2] in ("/", "\\") or len(path) > MOST_CHARS or path.startswith(LANGUAGE_PATH):
        return "/"
    return quote(path.partition("#")[0], safe=SAFE)

"""Parse a page as a browser does, and generate the texts that a shop may put into one."""

from html.parser import HTMLParser

from hypothesis import strategies as st

__all__ = ["Outline", "messages", "outline", "texts"]

PLACEHOLDERS = {"place", "wait", "within", "held", "stock", "updated", "since"}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
hostile = st.sampled_from(
    [
        "</template>",
        "</p><script>alert(1)</script>",
        '" onload="x',
        "{{status}}",
        "{{",
        "&lt;",
        "\x00",
        "--><!--",
        "'",
    ]
)
messages = st.none() | texts | st.builds(lambda a, b, c: a + b + c, texts, hostile, texts)


class Outline(HTMLParser):
    """The tags of a page with the names of their attributes, and the text of every element with an id."""

    VOID = frozenset({"img", "meta", "link"})

    def __init__(self, document: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str | None] = []
        self.feed(document.decode())
        self.close()
        assert self._open == [], "every element is closed"
        for name in PLACEHOLDERS & self.texts.keys():  # a placeholder may be wider than its value
            self.texts[name] = self.texts[name].rstrip(" ")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs if name not in ("hidden", "class"))))
        self.attributes.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(dict(attrs).get("id"))

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and (name := self._open[-1]):
            self.texts[name] = self.texts.get(name, "") + data


def outline(document: bytes) -> list[tuple[str, tuple[str, ...]]]:
    """Return the structure of a page, without the refresh, which depends on the state."""
    tags = Outline(document).tags
    return [(tag, names) for tag, names in tags if tag != "noscript" and names != ("http-equiv", "content")]

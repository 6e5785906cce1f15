"""Faults in a tag of a shop's template, and the addresses that a browser loads because of a tag."""

from collections.abc import Iterator
from typing import Final

__all__ = ["Attributes", "addresses_in", "fault_in_tag"]

Attributes = list[tuple[str, str | None]]

FORBIDDEN: Final = {
    "style": "a style sheet in the page is blocked by its policy: put it into the file of page.stylesheet",
    "base": "<base> is blocked by the policy of the page: write addresses that begin with /",
    **dict.fromkeys(
        ("iframe", "frame", "frameset", "object", "embed", "applet", "portal", "fencedframe"),
        "a page in the page is blocked by its policy: leave it out",
    ),
}
#: What loads, by tag and attribute, and the list of `page.sources` that may allow other origins.
LOADING: Final = {
    ("audio", "src"): "images",
    ("body", "background"): "images",
    ("feimage", "href"): "images",
    ("image", "href"): "images",
    ("image", "xlink:href"): "images",
    ("img", "src"): "images",
    ("img", "srcset"): "images",
    ("input", "src"): "images",
    ("script", "src"): "scripts",
    ("source", "src"): "images",
    ("source", "srcset"): "images",
    ("table", "background"): "images",
    ("td", "background"): "images",
    ("track", "src"): "images",
    ("use", "href"): "images",
    ("use", "xlink:href"): "images",
    ("video", "poster"): "images",
    ("video", "src"): "images",
}
#: Of <link>, by what `rel` or `as` says.
LINKS: Final = {
    "apple-touch-icon": "images",
    "dns-prefetch": "images",
    "icon": "images",
    "mask-icon": "images",
    "modulepreload": "scripts",
    "preconnect": "images",
    "shortcut": "images",
    "stylesheet": "styles",
}
PRELOADS: Final = {"font": "fonts", "image": "images", "script": "scripts", "style": "styles"}


def fault_in_tag(tag: str, attributes: Attributes, *, in_head: bool) -> Iterator[str]:
    """Yield what the page's policy or a slot does not allow in a tag."""
    values = {name: value or "" for name, value in attributes}
    if tag in FORBIDDEN:
        yield FORBIDDEN[tag]
    if tag == "script" and "src" not in values and "json" not in values.get("type", ""):
        yield "a script in the page is blocked by its policy: put it into a file and name it in src"
    if tag == "title" and in_head:
        yield "{{head}} has the title, which says the place in line: leave <title> out"
    if tag == "meta" and values.get("http-equiv", "").lower() not in ("", "x-ua-compatible"):
        yield f"<meta http-equiv={values['http-equiv']}> is set by the edge: leave it out"
    if tag == "html" and ("lang" in values or "dir" in values):
        yield "{{html}} says the language and the direction: leave lang and dir out"
    if tag == "link" and values.get("rel", "").lower() in ("manifest", "prefetch", "prerender"):
        yield f"<link rel={values['rel']}> is blocked by the policy of the page: leave it out"
    for name, value in attributes:
        if name == "style":
            yield "style= is blocked by the policy of the page: give the element a class for page.stylesheet"
        elif name.startswith("on"):
            yield f"{name}= is blocked by the policy of the page: put the script into a file"
        elif name in ("action", "formaction") and "//" in (value or "").partition("?")[0]:
            yield f"{value} is on another host, and the policy of the page lets forms send to this host only"
        elif name in ("href", "src", "action") and (value or "").strip().lower().startswith("javascript:"):
            yield "a script in an address is blocked by the policy of the page: put it into a file"


def addresses_in(tag: str, attributes: Attributes) -> Iterator[tuple[str, str]]:
    """Yield each address that a browser loads because of a tag, and the list of `page.sources` for it."""
    values = {name: value or "" for name, value in attributes}
    if tag == "link":
        kinds = values.get("rel", "").lower().split()
        use = PRELOADS.get(values.get("as", "").lower(), "images") if "preload" in kinds else None
        for kind in kinds:
            use = use or LINKS.get(kind)
        if use is not None and "href" in values:
            yield values["href"], use
    for name, value in values.items():
        listed = LOADING.get((tag, name))
        if listed is None:
            continue
        if name == "srcset":
            yield from ((candidate.split()[0], listed) for candidate in value.split(",") if candidate.strip())
        else:
            yield value, listed

"""The arguments of `stanchion page`."""

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_arguments"]


def add_arguments(actions: Any) -> None:
    """Add `stanchion page preview` and `stanchion page template`."""
    text = "Write all views of a room's waiting page, and the error pages, into one HTML file."
    preview = actions.add_parser("preview", help=text, description=text)
    preview.description = (
        f"{text} The file needs no network. It has every view in every language, on phones and on a desktop screen, "
        "in the light and in the dark scheme."
    )
    preview.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings (YAML)")
    preview.add_argument("--room", default=None, metavar="NAME", help="the room (default: the first one)")
    preview.add_argument(
        "--output",
        type=Path,
        default=Path("preview.html"),
        metavar="FILE",
        help="the file to write (default: %(default)s)",
    )
    preview.add_argument(
        "--files",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="the shop's files, to show its logo and pictures: /static/logo.svg is FOLDER/static/logo.svg",
    )
    preview.add_argument(
        "--language", action="append", default=None, metavar="TAG", help="this language only; may be repeated"
    )
    preview.add_argument(
        "--view", action="append", default=None, metavar="NAME", help="this view only, as 'sold out'; may be repeated"
    )
    preview.add_argument(
        "--png",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="take a picture of every view into this folder, with Chromium; without --language in the default language",
    )
    preview.add_argument(
        "--browser",
        default=None,
        metavar="PROGRAM",
        help="the Chromium for the pictures (default: one in PATH)",
    )
    preview.set_defaults(command=_preview)

    text = "Print a template of a waiting page to begin with (page.template)."
    template = actions.add_parser("template", help=text, description=text)
    template.set_defaults(command=_template)


def _preview(options: argparse.Namespace) -> int:
    from edge.cli.page.command import preview

    return preview(options)


def _template(_: argparse.Namespace) -> int:
    from importlib.resources import files

    print((files("static") / "template.html").read_text("utf-8"), end="")
    return 0

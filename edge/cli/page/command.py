"""`stanchion page preview`: write the sheet, and take pictures if they are wanted."""

import argparse
import asyncio
import re
from pathlib import Path

from edge.cli.page.chromium import find_chromium, take_pictures
from edge.cli.page.sheet import SCHEMES, SCREENS, alone, sheet
from edge.cli.page.views import PageViews, views_of_room
from edge.settings.loading import load_settings
from edge.support.errors import EdgeError

__all__ = ["preview"]


def preview(options: argparse.Namespace) -> int:
    """Write the sheet, and with --png the pictures. Return the exit code."""
    settings = load_settings(options.config)
    views = views_of_room(settings, options.room, options.view or ())
    languages = _languages(options, views)
    if options.files is not None and not options.files.is_dir():
        raise EdgeError(f"{options.files} is no folder: --files names the one with the shop's files")
    program = None if options.png is None else find_chromium(options.browser)
    text = sheet(views, languages, options.files, options.config.name)
    _write(options.output, text)
    print(f"{options.output}: {len(views.documents(languages[0]))} views in {len(languages)} languages")
    if program is not None:
        _pictures(options, views, program)
    return 0


def _languages(options: argparse.Namespace, views: PageViews) -> list[str]:
    """Return the languages of the sheet. The default is the first."""
    if options.language:
        for tag in options.language:
            if tag not in views.languages.names:
                raise EdgeError(f"--language {tag}: the settings offer {', '.join(views.languages.names)}")
        return list(dict.fromkeys(options.language))
    default = views.languages.default
    return [default, *(tag for tag in views.languages.names if tag != default)]


def _pictures(options: argparse.Namespace, views: PageViews, program: str) -> None:
    """Take the pictures: one of each view, language, screen and scheme."""
    pages = {}
    for language in options.language or [views.languages.default]:
        for name, body in views.documents(language).items():
            for scheme in SCHEMES:
                text = alone(body, views, options.files, scheme)
                for screen in SCREENS:
                    file = f"{re.sub(r'[^a-z0-9]+', '-', name)}.{language}.{screen}.{scheme}.png"
                    pages[file] = (text, *SCREENS[screen])
    try:
        options.png.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgeError(f"{options.png} cannot be made: {error.strerror}") from None
    asyncio.run(take_pictures(program, options.png, pages))
    print(f"{options.png}: {len(pages)} pictures")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EdgeError(f"{file} cannot be written: {error.strerror}") from None

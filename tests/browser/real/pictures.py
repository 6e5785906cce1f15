"""Reference pictures of every view: `python -m tests.browser.real.pictures` writes them, `test_pictures.py` compares.

Fonts differ from machine to machine, and with them every line. So the pictures use a font of the tests in which every
letter is a box: they show where text stands and how much, in which colour, and not what it says. So they are small, and
equal on every machine but for the rounding of edges, which the comparison allows.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, async_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.browser.views import ORIGIN, VIEWS, documents, serve

__all__ = ["FOLDER", "difference", "pictures"]

FOLDER: Final = Path(__file__).parent / "pictures"
FONT: Final = Path(__file__).parents[2] / "waiting_room" / "fonts" / "square.woff2"
PHONE: Final = (390, 844)
#: Beside every view on a phone: one view on other screens and in the dark scheme.
MORE: Final = (("waiting", (320, 568), "light"), ("waiting", (667, 375), "light"), ("waiting", (1280, 800), "dark"))

#: The share of the points of two pictures, each a mean of 4 x 4 pixels, that differ visibly; 1 if the sizes do.
COMPARE: Final = """async ([one, other]) => {
    const points = async (png) => {
        const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
        const [width, height] = [image.width >> 2, image.height >> 2];
        const canvas = new OffscreenCanvas(width, height).getContext("2d");
        canvas.imageSmoothingQuality = "high";
        canvas.drawImage(image, 0, 0, width, height);
        return [image.width, image.height, canvas.getImageData(0, 0, width, height).data];
    };
    const [[width, height, a], [otherWidth, otherHeight, b]] = [await points(one), await points(other)];
    if (width !== otherWidth || height !== otherHeight) return 1;
    let differing = 0;
    for (let at = 0; at < a.length; at += 4) {
        if (Math.max(...[0, 1, 2].map((channel) => Math.abs(a[at + channel] - b[at + channel]))) > 48) differing += 1;
    }
    return differing / (a.length / 4);
}"""


def name_of(view: str, size: tuple[int, int], scheme: str) -> str:
    return f"{view.replace(' ', '-')}.{size[0]}.{scheme}.png"


async def pictures(browser: Browser) -> AsyncIterator[tuple[str, bytes]]:
    """Yield the name and the PNG of each picture."""
    made = documents("en")
    context = await browser.new_context(device_scale_factor=0.5)
    try:
        await serve(context, {f"/{view.replace(' ', '-')}": body for view, body in made.items()})
        page = await context.new_page()
        font = base64.b64encode(FONT.read_bytes()).decode()
        face = f'@font-face{{font-family:square;src:url("data:font/woff2;base64,{font}")}}'
        rules = face + "*{font-family:square!important}"
        for view, size, scheme in (*((view, PHONE, "light") for view in VIEWS), *MORE):
            await page.set_viewport_size({"width": size[0], "height": size[1]})
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            await page.goto(f"{ORIGIN}/{view.replace(' ', '-')}")
            await page.add_style_tag(content=rules)
            await page.evaluate("document.fonts.load('16px square').then(() => document.fonts.ready).then(() => 0)")
            yield name_of(view, size, scheme), await page.screenshot()
    finally:
        await context.close()


async def difference(page: Any, one: bytes, other: bytes) -> float:
    """Return the share of two PNGs that differs, 0 to 1."""
    return float(await page.evaluate(COMPARE, [base64.b64encode(png).decode() for png in (one, other)]))


async def _write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for before in FOLDER.glob("*.png"):
        before.unlink()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        async for name, png in pictures(browser):
            (FOLDER / name).write_bytes(png)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(_write())

"""The pages of the shop: templates filled with escaped text.

Every page works without scripts and loads nothing from other hosts.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from html import escape
from importlib.resources import files
from string import Template

from checkout.values import Hold, Sale, Stock

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@cache
def _template(name: str) -> Template:
    return Template(files("checkout.templates").joinpath(f"{name}.html").read_text(encoding="utf-8"))


@lru_cache(maxsize=64)
def asset(name: str) -> bytes | None:
    """Return the bytes of a file in `assets/`, or None if there is no such file."""
    found = {file.name: file for file in files("checkout.assets").iterdir()}.get(name)
    return found.read_bytes() if found else None


def render(title: str, template: str, /, **text: str) -> str:
    """Fill one page. Every value is escaped except `*_html`, which are markup of this module."""
    values = {key: value if key.endswith("_html") else escape(value) for key, value in text.items()}
    return _template("page").substitute(title=escape(title), body=_template(template).substitute(values))


def price(sale: Sale) -> str:
    return f"{sale.price_cents // 100}.{sale.price_cents % 100:02d} {sale.currency}"


def stock_line(stock: Stock) -> str:
    """Return the stock as one sentence for visitors. `assets/shop.js` writes the same sentences."""
    if stock.free:
        return f"{stock.free} of {stock.total} left"
    if stock.held:
        return f"Sold out. {stock.held} reserved and not paid yet"
    return "Sold out"


def time_line(ms: int) -> str:
    """Return a duration in words, rounded up to whole seconds."""
    minutes, seconds = divmod(max(0, ms + 999) // 1000, 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def product(sale: Sale, stock: Stock, now_ms: int) -> str:
    left_ms = max(0, sale.opens_ms - now_ms)
    action = '<a class="button" href="/checkout">Check out</a>'
    if stock.free + stock.held == 0 or (sale.closes_ms and now_ms >= sale.closes_ms):
        action = ""
    return render(
        sale.title,
        "product",
        sale=sale.id,
        product=sale.title,
        price=price(sale),
        per_user="one" if sale.per_user == 1 else str(sale.per_user),
        stock_line=stock_line(stock),
        left_ms=str(left_ms),
        opens_line=f"Opens in {time_line(left_ms)}" if left_ms else "",
        action_html=action,
    )


NOTICES_LINK = '<p class="hint"><a href="/contact">Tell me about my order by e-mail</a></p>'


def checkout(sale: Sale, stock: Stock, key: str, *, has_notices: bool = False) -> str:
    """Return the page of the checkout. has_notices: whether the shop can send messages to visitors."""
    return render(
        "Check out",
        "checkout",
        product=sale.title,
        price=price(sale),
        stock_line=stock_line(stock),
        key=key,
        reserve_key=f"{key}-hold",
        hold_time=time_line(sale.hold_ms),
        notices_html=NOTICES_LINK if has_notices else "",
    )


def hold(sale: Sale, hold: Hold, left_ms: int) -> str:
    return render(
        "Your reservation",
        "hold",
        product=sale.title,
        price=price(sale),
        hold=hold.id,
        key=f"{hold.id}-{left_ms}",
        left_ms=str(left_ms),
        left=time_line(left_ms),
    )


def order(sale: Sale, hold: Hold) -> str:
    return render("Your order", "order", product=sale.title, price=price(sale), order=hold.id)


def contact(product: str) -> str:
    """Return the page where a visitor says by which address and about what they want to be told."""
    return render("Tell me by e-mail", "contact", product=product)


def best_sellers(rows: Sequence[tuple[Sale, int]]) -> str:
    """Return the page of the best sellers. rows: each sale with its units, most first."""
    lines = [f"<li>{escape(sale.title)}, {escape(price(sale))}: {units} sold</li>" for sale, units in rows]
    listed = f"<ol>{''.join(lines)}</ol>" if lines else "<p>Nothing was sold yet.</p>"
    return render("Best sellers", "best-sellers", rows_html=listed)


def notice(heading: str, text: str, href: str = "/", link: str = "Back to the product") -> str:
    return render(heading, "notice", heading=heading, text=text, href=href, link=link)

"""The pages of the catalogue and the cart: HTML forms that work without scripts."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple
from urllib.parse import urlencode

from checkout import pages
from checkout.catalogue.cart_checkout import Review, ReviewLine, title_of
from checkout.catalogue.carts import MOST_UNITS
from checkout.catalogue.product import Product, Sku, Stored
from checkout.catalogue.purchases import Purchase, PurchaseLine
from checkout.catalogue.search import Sort
from checkout.values import Hold, Money, Sale, State, Stock

SORTS = {
    Sort.RELEVANCE: "Best match",
    Sort.NEWEST: "Newest",
    Sort.CHEAPEST: "Lowest price",
    Sort.DEAREST: "Highest price",
    Sort.BEST: "Best sellers",
}
NO_MONEY = {Money.NONE: "not bought", Money.DECLINED: "declined, nothing was charged", Money.REFUNDED: "refunded"}


class ShownSku(NamedTuple):
    """A SKU with its sale and stock, or None if the sale does not exist yet."""

    sku: Sku
    sale: Sale | None
    stock: Stock | None


class ResultPage(NamedTuple):
    """What the list shows. fields: the query string of this page, by name. after: the cursor of the next page."""

    found: Sequence[Stored]
    after: str
    corrected: str
    fields: dict[str, str]


def amount(price_cents: int, currency: str) -> str:
    return f"{price_cents // 100}.{price_cents % 100:02d} {currency}"


def products(result: ResultPage) -> str:
    """Return the list of products, or what a search has found."""
    fields = result.fields
    text, category = fields.get("q", "").strip(), fields.get("category", "")
    heading = f"Results for “{text}”" if text else category.replace("-", " ").capitalize() or "All products"
    chosen = fields.get("sort", "")
    options = "".join(
        f'<option value="{sort}"{" selected" if sort == chosen else ""}>{label}</option>'
        for sort, label in SORTS.items()
        if text or sort is not Sort.RELEVANCE
    )
    asked = {"q": result.corrected} if result.corrected else {}
    more = urlencode({**fields, **asked, "after": result.after})
    return pages.render(
        heading,
        "products",
        heading=heading,
        text=text,
        from_price=fields.get("from", ""),
        to_price=fields.get("to", ""),
        category_html=_category(category),
        options_html=options,
        notice_html=_notice(result, text),
        cards_html=cards(result.found),
        more_html=f'<p><a class="button second" href="/products?{escape(more)}">More products</a></p>'
        if result.after
        else "",
    )


def cards(found: Sequence[Stored]) -> str:
    """Return products as a list of links with pictures."""
    return f'<ul class="cards">{"".join(_card(stored.product) for stored in found)}</ul>' if found else ""


def _card(product: Product) -> str:
    price = product.price_cents
    shown = (
        "" if price is None else f'<span class="card-price">{_from(product)}{amount(price, product.currency)}</span>'
    )
    return (
        f'<li><a href="/products/{product.id}"><img src="{escape(picture_of(product))}" alt="" width="320" '
        f'height="320" loading="lazy"><span class="card-title">{escape(product.title)}</span>{shown}</a></li>'
    )


def _from(product: Product) -> str:
    return "from " if len({sku.price_cents for sku in product.live_skus()}) > 1 else ""


def picture_of(product: Product) -> str:
    """Return the address of the first picture, or of the one that the shop draws for a product without one."""
    return product.pictures[0].url if product.pictures else f"/pictures/{product.id}.svg"


def _category(category: str) -> str:
    if not category:
        return ""
    return (
        f'<input type="hidden" name="category" value="{escape(category)}"><p class="hint">In '
        f'{escape(category.replace("-", " "))}. <a href="/products">Show all products</a></p>'
    )


def _notice(result: ResultPage, text: str) -> str:
    if result.corrected:
        return f"<p>Nothing was found for “{escape(text)}”. These are results for “{escape(result.corrected)}”.</p>"
    if result.found:
        return ""
    if text or len(result.fields) > 1:
        return '<p>Nothing was found. <a href="/products">Show all products</a></p>'
    return '<p>There are no products here yet. <a href="/">Show the product of the sale</a></p>'


def product(stored: Stored, shown_skus: Sequence[ShownSku], line_sale: str, now_ms: int) -> str:
    """Return the page of a product. line_sale: the sale that is bought through the line."""
    shown = stored.product
    picture = shown.pictures[0].alt if shown.pictures else ""
    opens = [each.sale.opens_ms - now_ms for each in shown_skus if each.sale and each.sale.opens_ms > now_ms]
    left_ms = min(opens, default=0)
    category = (
        f'<p class="hint"><a href="/products?category={shown.category}">{shown.category.replace("-", " ")}</a></p>'
    )
    return pages.render(
        shown.title,
        "catalogue-product",
        name=shown.title,
        picture=picture_of(shown),
        alt=picture,
        category_html=category if shown.category else "",
        price_html="" if shown.price_cents is None else f"{_from(shown)}{amount(shown.price_cents, shown.currency)}",
        text=shown.text,
        attributes_html=_attributes(shown),
        left_ms=str(left_ms),
        opens_line=f"Opens in {pages.time_line(left_ms)}" if left_ms else "",
        form_html=_buy_form(shown, shown_skus, line_sale),
    )


def _attributes(shown: Product) -> str:
    rows = "".join(
        f"<div><dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(value)}</dd></div>"
        for name, value in shown.attributes.items()
    )
    return f"<dl>{rows}</dl>" if rows else ""


def _buy_form(shown: Product, shown_skus: Sequence[ShownSku], line_sale: str) -> str:
    if not shown_skus:
        return '<p class="stock">This product is not sold any more.</p>'
    is_first, rows = True, []
    for each in shown_skus:
        is_free = each.stock is not None and each.stock.free > 0
        mark = " checked" if is_free and is_first else "" if is_free else " disabled"
        is_first = is_first and not is_free
        rows.append(
            f'<label class="choice"><input type="radio" name="sku" value="{each.sku.id}" required{mark}> '
            f'<span>{escape(each.sku.title)} <span class="hint">{escape(_stock(each))}</span></span> '
            f"<strong>{amount(each.sku.price_cents, shown.currency)}</strong></label>"
        )
    can_buy = not is_first
    button = '<button type="submit">Put into the cart</button>' if can_buy else ""
    units = (
        f'<label>Units <input type="number" name="units" value="1" min="1" max="{MOST_UNITS}" inputmode="numeric" '
        "required></label>"
        if can_buy
        else ""
    )
    now = '<p><a class="button second" href="/checkout">Check out at once, through the line</a></p>'
    is_line = can_buy and any(each.sku.sale == line_sale for each in shown_skus)
    return (
        f'<form method="post" action="/cart/lines"><input type="hidden" name="product" value="{shown.id}"><fieldset>'
        f"<legend>Choose</legend>{''.join(rows)}</fieldset>{units}{button}</form>{now if is_line else ''}"
    )


def _stock(shown: ShownSku) -> str:
    return pages.stock_line(shown.stock) if shown.stock is not None else "Not on sale yet"


def cart(review: Review, checkout_path: str, notice: str = "") -> str:
    """Return the cart with current prices."""
    if not review.lines:
        return pages.notice("Your cart is empty", notice or "Nothing is in it yet.", "/products", "Show the products")
    can_buy = all(each.sku is not None for each in review.lines)
    return pages.render(
        "Your cart",
        "cart",
        notice_html=f'<p class="warning" role="status">{escape(notice)}</p>' if notice else "",
        lines_html="".join(map(_cart_line, review.lines)),
        total_html=_total(review),
        action_html=f'<a class="button" href="{checkout_path}">Check out</a>'
        if can_buy
        else '<p class="warning">Remove what is not sold any more, then check out.</p>',
    )


def _cart_line(each: ReviewLine) -> str:
    line = each.line
    name, price, note = escape(line.sku), "", '<span class="warning">This is not sold any more.</span>'
    if each.stored is not None and each.sku is not None:
        currency = each.stored.product.currency
        name = f'<a href="/products/{line.product}">{escape(title_of(each.stored, each.sku))}</a>'
        price = amount(each.total_cents, currency)
        note = f"{amount(each.sku.price_cents, currency)} each"
        if each.has_changed:
            note += f'; <span class="warning">it was {amount(line.price_cents, currency)}</span>'
    action = f"/cart/lines/{escape(line.sku)}"
    return (
        f'<li><p class="summary"><span>{name}</span> <strong>{price}</strong></p><p class="hint">{note}</p>'
        f'<div class="line"><form method="post" action="{action}"><label>Units <input type="number" name="units" '
        f'value="{line.units}" min="0" max="{MOST_UNITS}" inputmode="numeric" required></label>'
        f'<button type="submit" class="second">Change</button></form><form method="post" action="{action}">'
        '<input type="hidden" name="units" value="0"><button type="submit" class="second" '
        f'aria-label="Remove {escape(line.sku)}">Remove</button></form></div></li>'
    )


def _total(review: Review) -> str:
    sums = " + ".join(amount(total, currency) for currency, total in sorted(review.totals.items()))
    return f'<p class="summary total"><span>Total</span> <strong>{sums}</strong></p>'


def checkout(review: Review, path: str, key: str) -> str:
    """Return the form that pays for the cart."""
    rows = "".join(
        f"<li>{each.line.units} × {escape(title_of(each.stored, each.sku))}, "
        f"{amount(each.total_cents, each.stored.product.currency)}</li>"
        for each in review.lines
        if each.stored is not None and each.sku is not None
    )
    return pages.render(
        "Check out",
        "cart-checkout",
        path=path,
        key=key,
        agreement=review.agreement,
        lines_html=rows,
        total_html=_total(review),
    )


def purchase(bought: Purchase, holds: Sequence[Hold | None]) -> str:
    """Return the confirmation. holds: the hold of each line as it is now."""
    states = [hold.state if hold else None for hold in holds]
    sold = sum(state is State.SOLD for state in states)
    heading = "Thank you for your order" if sold == len(states) else "Your purchase"
    rows = "".join(_bought_line(line, hold) for line, hold in zip(bought.lines, holds, strict=True))
    paid: dict[str, int] = {}
    for line, state in zip(bought.lines, states, strict=True):
        if state is State.SOLD:
            paid[line.currency] = paid.get(line.currency, 0) + line.price_cents
    total = " + ".join(amount(cents, currency) for currency, cents in sorted(paid.items())) or "nothing"
    return pages.render(heading, "purchase", heading=heading, lines_html=rows, paid=total)


def _bought_line(line: PurchaseLine, hold: Hold | None) -> str:
    if hold is not None and hold.state is State.SOLD:
        state = f'order <a href="/orders/{hold.id}"><code>{hold.id}</code></a>'
    elif hold is not None and hold.money is Money.STARTED:
        state = "payment in progress; look at this page again in a minute"
    else:
        state = NO_MONEY.get(hold.money, "not bought") if hold is not None else "not bought"
    return (
        f'<li><p class="summary"><span>{escape(line.title)}</span> '
        f'<strong>{amount(line.price_cents, line.currency)}</strong></p><p class="hint">{state}</p></li>'
    )

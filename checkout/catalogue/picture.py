"""The picture that the shop draws for a product without one: always the same for the same name."""

from hashlib import blake2s

SHAPES = (
    '<circle cx="160" cy="150" r="84"/><circle cx="160" cy="150" r="46" class="b"/>',
    '<rect x="84" y="74" width="152" height="152" rx="28"/>'
    '<rect x="120" y="110" width="80" height="80" rx="14" class="b"/>',
    '<path d="M160 62 250 226H70z"/><circle cx="160" cy="172" r="34" class="b"/>',
    '<rect x="106" y="60" width="108" height="190" rx="54"/>'
    '<rect x="138" y="96" width="44" height="118" rx="22" class="b"/>',
    '<path d="M70 150a90 90 0 0 1 180 0v70H70z"/><path d="M118 160a42 42 0 0 1 84 0v60h-84z" class="b"/>',
    '<rect x="70" y="104" width="180" height="112" rx="16"/><circle cx="128" cy="160" r="28" class="b"/>'
    '<circle cx="200" cy="160" r="18" class="b"/>',
)


def picture(name: str) -> str:
    """Return an SVG for this name. Its colours have enough contrast on a light and on a dark page."""
    digest = blake2s(name.encode(), digest_size=4).digest()
    hue = digest[0] * 360 // 256
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 320" role="img">'
        f"<style>.g{{fill:hsl({hue} 34% 84%)}}.a{{fill:hsl({hue} 42% 46%)}}.b{{fill:hsl({(hue + 40) % 360} 48% 72%)}}"
        f'</style><rect width="320" height="320" class="g"/><g class="a">{SHAPES[digest[1] % len(SHAPES)]}</g></svg>'
    )

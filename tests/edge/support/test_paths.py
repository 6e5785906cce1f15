"""Path patterns cover every reading of a target, and a pattern that `check` accepts can match."""

import re
import time
from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.support.path_readings import is_too_ambiguous, readings
from edge.support.paths import PathPattern, PathSet, PrefixIndex, covers_text


@pytest.mark.parametrize(
    "target",
    [
        "/checkout",
        "/Checkout",
        "//checkout",
        "///checkout/",
        "/%63heckout",
        "/a/../checkout",
        "/a/%2e%2e/checkout",
        "/./checkout",
        "/checkout;x=1",
        "/checkout;/",
        "/checkout.",
        "/checkout%20",
        "/..//checkout",
        "\\checkout",
        "/checkout%2f",
    ],
)
def test_every_spelling_of_a_path_has_one_usual_reading(target: str) -> None:
    assert readings(target)[0] == "/checkout/"


@pytest.mark.parametrize(
    "target",
    [
        "/checkout/../x",
        "/checkout/..;/x",
        "/checkout/%2e%2e/x",
        "/checkout/..%2fx",
        "/%2563heckout/x",
        "/%252563heckout/x",
        "/x/%252e%252e/checkout/x",
        "//x/checkout",
        "///x/checkout",
        "////x//y/checkout",
        "/\\x/checkout",
        "\\\\x/checkout",
        "//x%2fy/checkout",
        "//user@x:80/checkout",
        "/.//x/checkout",
        "/a/..//x/checkout",
        "/index.php/checkout",
        "/a/INDEX.PHP/checkout",
        "/checkout%3fx=1",
        "/checkout%23x",
        "/checkout\\x",
        "/x;/../checkout",
        "/%u0063heckout",
        "/%U0043heckout",
        "/%u002f%u002fx/checkout",
        "/x/%u002e%u002e/checkout",
        "/app.php7/checkout",
        "/bin/shop.dll/checkout",
        "/a.ashx/checkout/x",
    ],
)
def test_a_target_that_some_server_takes_for_the_room_has_that_reading(target: str) -> None:
    assert any(PathSet(["/checkout*"]).covers(form) for form in readings(target))


@pytest.mark.parametrize(
    ("target", "is_index"),
    [
        ("/index.php", True),
        ("//index.php", True),
        ("/%69ndex.php", True),
        ("/index.html/", True),
        ("/Default.aspx", True),
        ("/index.php5", True),
        ("/index.php/", True),
        ("/shop.php", False),
        ("/a/index.php", False),
        ("/my-index.php", False),
        ("/index.php.bak", False),
        ("/index", False),
    ],
)
def test_the_index_of_a_folder_is_the_folder(target: str, is_index: bool) -> None:
    """`/index.php?wc-ajax=checkout` is where WooCommerce sells, too."""
    forms = readings(target)
    assert any(PathSet(["/?wc-ajax=checkout"]).covers(form, "wc-ajax=checkout") for form in forms) is is_index
    assert any(PathSet(["/a/"]).covers(form) for form in forms) is (target == "/a/index.php")


@pytest.mark.parametrize(
    ("target", "has_to_wait"),
    [
        ("/checkout.php/x.css", True),
        ("/checkout.PHP//a/b.js", True),
        ("/checkout.aspx/x.css", True),
        ("/checkout%2ephp%2fx.css", True),
        ("/checkout;/x.css", False),
        ("/checkout;x.css", True),
        ("/checkout%3fx.css", True),
        ("/checkout/x.css", False),
        ("/shop.php/x.css", False),
    ],
)
def test_no_ending_makes_a_style_sheet_of_the_checkout(target: str, has_to_wait: bool) -> None:
    """PHP runs `/checkout.php` for `/checkout.php/x.css`. A room covers a target by any reading, a bypass by all."""
    room, bypass = PathSet(["/checkout*"]), PathSet(["*.css", "*.js"])
    assert any(room.covers(form) and not bypass.covers(form) for form in readings(target)) is has_to_wait


@pytest.mark.parametrize("target", ["/a..b", "/a.b/c", "/caf%C3%A9", "/a/b/", "/a-b_c~d", "/%41b"])
def test_a_plain_path_has_one_reading(target: str) -> None:
    assert len(readings(target)) == 1


def test_a_name_that_is_not_utf_8_is_read_as_latin_1_too() -> None:
    assert "/kasse/zür/" in readings("/kasse/z%FCr")
    assert readings("/kasse/z%C3%BCr") == ("/kasse/zür/",)


@given(st.text())
def test_any_text_has_normal_readings(text: str) -> None:
    for form in readings(text):
        assert form.startswith("/")
        assert form.endswith("/")
        assert not {"", ".", ".."} & set(form.split("/")[1:-1])


@given(st.text("aZ/.%;\\25e", max_size=40))
def test_a_callback_covers_a_target_only_if_it_covers_every_reading(text: str) -> None:
    """So a spelling of a callback that reaches the room in another server does not pass."""
    target = "/checkout/notify" + text
    forms = readings(target)
    room, callback = PathSet(["/checkout*"]), PathSet(["/checkout/notify"])
    if forms and all(not room.covers(form) or callback.covers(form) for form in forms):
        assert all(form == "/checkout/notify/" or not form.startswith("/checkout") for form in forms)


@pytest.mark.parametrize(
    ("pattern", "path", "covers"),
    [
        ("/checkout*", "/checkout", True),
        ("/checkout*", "/checkout/pay", True),
        ("/checkout*", "/check", False),
        ("/Checkout*", "/checkout", True),
        ("/checkout", "/checkout/", True),
        ("/checkout/", "/checkout", True),
        ("/checkout", "/checkout/pay", False),
        ("/checkout/*", "/checkout/", True),
        ("/checkout/*", "/checkout", True),
        ("/checkout/*", "/checkout2", False),
        ("/checkout/*/", "/checkout/pay", True),
        ("//checkout", "/checkout", True),
        ("/check%6Fut", "/checkout", True),
        ("/kasse/z%C3%BCr*", "/kasse/z%c3%bcrich", True),
        ("/kasse/zür*", "/kasse/z%C3%BCrich", True),
        ("/index.php/checkout", "/index.php/checkout", True),
        ("*.css", "/a/b.css", True),
        ("*.css", "/a.css/b", False),
        ("/check.*", "/check.html", True),
        ("/check.*", "/check.", True),
        ("/check.*", "/check", True),  # some servers take `/check.` for it
        ("/a.c", "/abc", False),
        ("/a/*/c", "/a/b/b/c", True),
        ("/a/*/c", "/a//c", True),
        ("/a/*/c", "/ac", False),
        ("*a*b*", "/xaxbx", True),
        ("*ab*b", "/ab", False),
        ("*", "/", True),
        ("/*", "/", True),
        ("/", "/", True),
        ("/", "/x", False),
    ],
)
def test_a_star_stands_for_any_characters(pattern: str, path: str, covers: bool) -> None:
    found = any(PathPattern.parse(pattern).matches(form) for form in readings(path)[:1])
    assert found is covers
    assert any(PathSet([pattern, "/never"]).covers(form) for form in readings(path)[:1]) is covers


@pytest.mark.parametrize(
    ("pattern", "target", "covers"),
    [
        ("/?wc-ajax=checkout", "/?wc-ajax=checkout", True),
        ("/?wc-ajax=checkout", "/?x=1&wc%2Dajax=Checkout", True),
        ("/?wc-ajax=checkout", "/?wc-ajax=cart&wc-ajax=checkout", True),
        ("/?wc-ajax=checkout", "/?wc-ajax=cart;wc-ajax=checkout", True),
        ("/?wc-ajax=checkout", "/?wc-ajax=cart", False),
        ("/?wc-ajax=checkout", "/", False),
        ("/?wc-ajax=checkout", "/shop?wc-ajax=checkout", False),
        ("/*?wc-ajax=checkout", "/shop?wc-ajax=checkout", True),
        ("/*?wc-ajax=check*", "/shop?wc-ajax=checkout", True),
        ("/*?buy", "/shop?buy=7", True),
        ("/*?buy", "/shop?bu=y", False),
        ("/*?a=1&b=2", "/?b=2&a=1", True),
        ("/*?a=1&b=2", "/?b=2", False),
        ("/*?my.key=1", "/?my_key=1", True),
        ("/*?key=1", "/?key[]=1", True),
        ("/*?key=1", "/?key%00x=1", True),  # PHP ends the name there
        ("/*?key=1", "/?%20+key%5B0%5D=1", True),
        ("/*?key=1", "/?xkey=1", False),
        ("/*?key=1", "/?keyx=1", False),
        ("/*?key=1", "/?%6b%45y=%31", True),
        ("/*?key=1", "/?%u006bey=%u0031", True),  # ASP.NET
        ("/*?key=a%3Bb", "/?key=a;b", True),
        ("/*?key=%C3%A9", "/?key=%c3%89", True),
        ("/*?key=a b", "/?key=a+b", True),
        ("/*?key", "/?key", True),
        ("/*?key", "/?x&key&y", True),
        ("/*?key", "/?x=key", False),
        ("/*?key=", "/?key=", True),
        ("/*?key=1", "/?" + "key=%32&" * 900 + "key=1", True),
    ],
)
def test_a_pattern_names_query_parameters_in_any_order_and_encoding(pattern: str, target: str, covers: bool) -> None:
    path, _, query = target.partition("?")
    assert PathSet([pattern]).covers(readings(path)[0], query) is covers


@pytest.mark.parametrize(
    "pattern",
    [
        *("checkout", "/checkout;x", "/checkout.", "/a/../b", "/a/./b", "/a\\b", "/a#b", "/a%2Ab", "/a /b", "/z%FCr"),
        *("/100%", "/%A*", "/a%zz", "/%u0041"),
    ],
)
def test_a_pattern_that_cannot_match_is_refused_with_the_reason(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\w{3}"):
        PathPattern.parse(pattern)


NAMES = st.text("abß.-~", min_size=1, max_size=4).filter(lambda name: not name.endswith("."))


@given(st.lists(NAMES, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_a_pattern_without_a_star_covers_its_own_path(names: list[str], has_slash: bool, is_encoded: bool) -> None:
    path = "/" + "/".join(names) + ("/" if has_slash else "")
    if is_encoded:
        path = "/" + "".join(f"%{byte:02X}" if byte != 0x2F else "/" for byte in path[1:].encode())
    assert PathPattern.parse(path).matches(readings(path)[0])
    assert PathPattern.parse(path.rstrip("/") + "*").matches(readings(path)[0])


def test_no_pattern_covers_nothing() -> None:
    assert not PathSet([]).covers("/")


LISTS = st.lists(
    st.lists(st.text("aAbß/*.", max_size=6).map(lambda text: "/" + text), min_size=1, max_size=3), max_size=20
)


def is_valid(pattern: str) -> bool:
    try:
        PathPattern.parse(pattern)
    except ValueError:
        return False
    return True


@given(LISTS, st.text("aAbß/.", max_size=8))
def test_the_index_leaves_out_no_pattern_that_matches(lists: list[list[str]], target: str) -> None:
    lists = [[pattern for pattern in patterns if is_valid(pattern)] for patterns in lists]
    for form in readings("/" + target):
        found = PrefixIndex(lists).candidates(form)
        assert found == sorted(set(found))
        assert set(found) >= {at for at, patterns in enumerate(lists) if PathSet(patterns).covers(form)}


def test_the_index_asks_few_of_many() -> None:
    index = PrefixIndex([[f"/sale-{at}/*", f"/s{at}"] for at in range(500)])
    assert index.candidates("/sale-7/x/") == [7]
    assert index.candidates("/elsewhere/") == []


@pytest.mark.parametrize(
    "path",
    [
        "/" + "." * 8000,
        "/" + "../" * 2700,
        "/" + "%2e%2e/" * 1100,
        "/" + "%252e" * 1600,
        "/" * 8000,
        "/" + ";" * 8000,
        "/" + "\\" * 8000,
        "/" + "a./" * 2700,
        "/" + "x.php/" * 1300,
    ],
)
def test_a_long_path_with_many_readings_is_refused(path: str) -> None:
    assert is_too_ambiguous(path)


def seconds(path: str, patterns: PathSet) -> float:
    """The least time of several to read a path and match it."""
    times = []
    for _ in range(7):
        began = time.perf_counter()
        for form in readings(path):
            patterns.covers(form)
        times.append(time.perf_counter() - began)
    return min(times)


@pytest.mark.parametrize("piece", ["a=1&", "&", "a;", "%41=1&", "x=%31&", "+x=2;", "x[%41", "%", "x%00="])
def test_a_query_of_8_kb_is_searched_in_less_than_half_the_time_of_parsing(piece: str) -> None:
    """Twenty patterns, so that no pattern costs a parse of its own. The query is another one each time."""
    patterns = PathSet([f"/*?x{number}=1" for number in range(19)] + ["/*?x=1"])

    def seconds_of(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    parsed, searched = [], []
    # In turns, because other processes take time from either.
    for number in range(15):
        query = piece * (8000 // len(piece)) + str(number)
        parsed.append(seconds_of(lambda: parse_qsl("a%41=1&" * 1100, keep_blank_values=True)))
        searched.append(seconds_of(partial(patterns.covers, "/a/", query)))
    assert min(searched) < 20 * min(parsed) / 2


@pytest.mark.parametrize("piece", ["a", "ab/", "%C3%BC", "a-b_c/d"])
def test_time_grows_with_the_length_of_a_path_and_not_faster(piece: str) -> None:
    """Eight kilobytes against patterns with six stars: no backtracking."""
    patterns = PathSet(["/*a*a*a*a*a*b", "/*ab*ab*ab*ab*ab*x", "*.css", "/checkout*"])
    short, long = "/" + piece * (800 // len(piece)), "/" + piece * (8000 // len(piece))
    assert seconds(long, patterns) < 40 * max(seconds(short, patterns), 1e-5)


@given(st.text("ab*", max_size=8), st.text("ab", max_size=12))
def test_matching_text_is_what_a_regular_expression_says(pattern: str, text: str) -> None:
    expected = re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text) is not None
    assert covers_text(pattern, text) is expected

"""Settings: one file, all faults reported together, and a reference file that matches the code."""

from pathlib import Path

import pytest

from checkout.cli import main
from checkout.errors import ConfigurationError
from checkout.settings import Address, ShopSettings, parse, read

REFERENCE = Path(__file__).parents[2] / "configs" / "shop.yaml"


def test_reference_is_complete_and_shows_the_defaults() -> None:
    """`configs/shop.yaml` contains every key with its default value."""
    raw = read(REFERENCE)
    assert parse(raw) == ShopSettings()
    expected = ShopSettings().model_dump()
    assert raw.keys() == expected.keys()
    for name, section in expected.items():
        if isinstance(section, dict):
            assert raw[name].keys() == section.keys(), name


def test_all_faults_are_reported_together() -> None:
    """Each fault has its own line with its path. An unknown key is a fault."""
    raw = {
        "product": {"stock": -1, "colour": "red"},
        "engine": {"kind": "mysql"},
        "accounts": {"workers": 0},
        "x": 1,
    }
    with pytest.raises(ConfigurationError) as caught:
        parse(raw)
    lines = str(caught.value).splitlines()
    assert {line.partition(":")[0] for line in lines} == {
        "product.stock",
        "product.colour",
        "engine.kind",
        "accounts.workers",
        "x",
    }


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0)), ("shop.local:9", ("shop.local", 9))],
)
def test_an_address_is_parsed(text: str, address: tuple[str, int]) -> None:
    """The form is HOST:PORT, with IPv6 in brackets."""
    assert Address.parse(text) == address


@pytest.mark.parametrize("text", ["", "host", ":80", "host:", "host:x", "host:65536", "host:-1"])
def test_a_wrong_address_is_a_fault(text: str) -> None:
    """The error says which form is expected."""
    with pytest.raises(ConfigurationError, match="expected HOST:PORT"):
        Address.parse(text)


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_a_store_server_needs_a_url(kind: str) -> None:
    """An engine outside this process needs its URL."""
    with pytest.raises(ConfigurationError, match=r"engine\.url"):
        parse({"engine": {"kind": kind}})


@pytest.mark.parametrize(
    ("text", "fault"), [("- 1\n", "expected a mapping"), ("a: [", "while parsing"), ("a: 1", "a: Extra")]
)
def test_a_faulty_file_is_exit_code_2(
    text: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong file ends the command before anything starts."""
    path = tmp_path / "shop.yaml"
    path.write_text(text)
    assert main(["serve", "--config", str(path)]) == 2
    assert fault in capsys.readouterr().err


def test_options_override_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An option on the command line replaces the value in the file."""
    path = tmp_path / "shop.yaml"
    path.write_text("product: {stock: 5}\n")
    assert main(["serve", "--config", str(path), "--stock", "-7"]) == 2
    assert "got -7" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("engine", "fault"),
    [
        ({"kind": "redis", "url": "redis://h"}, "engine.orders_url: required by the redis engine"),
        ({"kind": "redis", "url": "redis://h", "orders_url": "postgresql://h", "journal": "j"}, "only for postgres"),
        ({"kind": "sqlite", "journal": "j"}, "only for postgres"),
    ],
)
def test_a_combination_that_cannot_promise_is_refused(engine: dict[str, str], fault: str) -> None:
    """The shop does not start, and the error gives the reason."""
    with pytest.raises(ConfigurationError, match=fault):
        parse({"engine": engine})

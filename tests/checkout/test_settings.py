"""Settings: one file, all faults together, and a reference that cannot rot."""

from pathlib import Path

import pytest

from checkout.cli import main
from checkout.errors import ConfigurationError
from checkout.settings import Address, ShopSettings, parse, read

REFERENCE = Path(__file__).parents[2] / "configs" / "shop.yaml"


def test_reference_is_complete_and_shows_the_defaults() -> None:
    """`configs/shop.yaml` has every key, and every value in it is the default."""
    raw = read(REFERENCE)
    assert parse(raw) == ShopSettings()
    expected = ShopSettings().model_dump()
    assert raw.keys() == expected.keys()
    for name, section in expected.items():
        if isinstance(section, dict):
            assert raw[name].keys() == section.keys(), name


def test_all_faults_in_one_go() -> None:
    """Each fault has its path, what is expected and what was found; unknown keys are faults."""
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
def test_address(text: str, address: tuple[str, int]) -> None:
    """HOST:PORT, IPv6 in brackets."""
    assert Address.parse(text) == address


@pytest.mark.parametrize("text", ["", "host", ":80", "host:", "host:x", "host:65536", "host:-1"])
def test_bad_address(text: str) -> None:
    """Anything else is a fault that says what was expected."""
    with pytest.raises(ConfigurationError, match="HOST:PORT expected"):
        Address.parse(text)


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_servers_need_an_address(kind: str) -> None:
    """An engine beyond this process must be told where it is."""
    with pytest.raises(ConfigurationError, match=r"engine\.url"):
        parse({"engine": {"kind": kind}})


@pytest.mark.parametrize(
    ("text", "fault"), [("- 1\n", "a mapping expected"), ("a: [", "while parsing"), ("a: 1", "a: Extra")]
)
def test_faulty_file_is_exit_code_2(text: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that cannot be used ends the command before anything starts."""
    path = tmp_path / "shop.yaml"
    path.write_text(text)
    assert main(["serve", "--config", str(path)]) == 2
    assert fault in capsys.readouterr().err


def test_options_win_over_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An option given on the command line replaces what the file says."""
    path = tmp_path / "shop.yaml"
    path.write_text("product: {stock: 5}\n")
    assert main(["serve", "--config", str(path), "--stock", "-7"]) == 2
    assert "got -7" in capsys.readouterr().err

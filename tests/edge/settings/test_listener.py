"""What may stand in `listen`."""

from pathlib import Path

import pytest

from edge.settings.loading import load_settings, parse_settings
from edge.settings.model import Settings
from edge.support.errors import ConfigurationError
from tests.certificates import certificate

REST = """
secret_keys_env: KEYS
upstream: {url: "http://127.0.0.1:9"}
rooms: [{name: sale, match: {paths: ["/*"]}, capacity: {admissions_per_second: 1}}]
"""


def parsed(listen: str) -> Settings:
    return parse_settings(f"listen: [{listen}]{REST}")


@pytest.mark.parametrize(
    "url", ["tcp://[::]:8080", "unix:///run/a.sock", "systemd://web", "systemd://stanchion.socket"]
)
def test_a_text_is_short_for_a_mapping(url: str) -> None:
    assert parsed(f'"{url}"').listen == parsed(f'{{url: "{url}"}}').listen


def test_settings_survive_the_way_to_a_worker() -> None:
    settings = parsed(
        '"tcp://127.0.0.1:1", {url: "unix:///a/b", mode: "0600", owner: "www-data:www-data"},'
        ' {url: "tls://a:1", certificate: c, key: k, more_certificates: [{certificate: d, key: e}]}'
    )
    assert Settings.model_validate(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("listen", "says"),
    [
        ('"tls://0.0.0.0:443"', "needs certificate and key"),
        ('{url: "tls://0.0.0.0:443", certificate: a}', "belong together"),
        ('{url: "tcp://0.0.0.0:443", certificate: a, key: b}', "begins with tls://"),
        ('{url: "unix:///a", certificate: a, key: b}', "begins with tls://"),
        ('{url: "systemd://a", more_certificates: [{certificate: a, key: b}]}', "needs certificate and key"),
        ('{url: "tls://a:1", certificate: a, key: b, more_certificates: [{certificate: c}]}', "key: is required"),
        ('"unix://run/a.sock"', "an absolute path"),
        ('"unix:///run/"', "must look like unix:///PATH"),
        (f'"unix:///{"a" * 108}"', "at most 107 bytes"),
        ('"systemd://"', "FileDescriptorName"),
        ('"systemd://a:b"', "FileDescriptorName"),
        ('{url: "tcp://a:1", mode: "0600"}', "for unix:// only"),
        ('{url: "tcp://a:1", owner: root}', "for unix:// only"),
        ('{url: "unix:///a", mode: 0600}', "must be text"),
        ('{url: "unix:///a", mode: "999"}', "must match"),
        ('{url: "unix:///a", owner: "a b"}', "must match"),
        ('{url: "tcp://a:1", proxy_protocl: true}', "did you mean 'proxy_protocol'?"),
        ('{url: "tls://a:1", certificate: c, key: k, more_certificates: [{certificat: d}]}', "'certificate'?"),
        ("5", "must be a mapping"),
        ('{url: "tcp://a:1", proxy_protocol: true}', "listen[0].proxy_protocol needs trusted_proxies"),
    ],
)
def test_a_faulty_listener_is_explained(listen: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parsed(listen)
    assert says in str(raised.value)
    assert all(fault.path.startswith("listen[0]") or not fault.path for fault in raised.value.faults)


def written(folder: Path, listen: str) -> Path:
    file = folder / "edge.yaml"
    file.write_text(f"listen: [{listen}]{REST}")
    return file


def test_relative_certificate_files_start_at_the_settings_file(tmp_path: Path, monkeypatch) -> None:
    certificate(tmp_path, "a")
    certificate(tmp_path, "b")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    listen = '{url: "tls://a:1", certificate: a.crt, key: a.key, more_certificates: [{certificate: b.crt, key: b.key}]}'
    [listener] = load_settings(written(tmp_path, listen)).listen
    assert [pair.key for pair in listener.certificates] == [str(tmp_path / "a.key"), str(tmp_path / "b.key")]


def test_every_faulty_certificate_is_named(tmp_path: Path) -> None:
    certificate(tmp_path, "a")
    certificate(tmp_path, "b", rsa=True)
    (tmp_path / "junk").write_text("junk")
    (tmp_path / "secret.key").write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    pairs = [("b.crt", "b.key"), ("a.crt", "b.key"), ("none", "a.key"), ("a.crt", "none"), ("junk", "a.key")]
    pairs += [("a.crt", "junk"), ("a.crt", "secret.key"), ("a.key", "a.crt")]
    more = ", ".join(f"{{certificate: {file}, key: {key}}}" for file, key in pairs)
    listen = f'{{url: "tls://a:1", certificate: a.crt, key: a.key, more_certificates: [{more}]}}'
    with pytest.raises(ConfigurationError) as raised:
        load_settings(written(tmp_path, listen))
    found = [(fault.path.removeprefix("listen[0].more_certificates"), fault.message) for fault in raised.value.faults]
    assert [path for path, _ in found] == [
        "[1].key", "[2].certificate", "[3].key", "[4].certificate", "[5].key", "[6].key", "[7].key",
    ]  # fmt: skip
    says = [
        "b.key does not belong to the certificate",
        "none cannot be read: No such file",
        "cannot be read",
        "holds no",
    ]
    says += ["holds no private key", "needs a passphrase", "holds no private key"]
    for (_, message), part in zip(found, says, strict=True):
        assert part in message

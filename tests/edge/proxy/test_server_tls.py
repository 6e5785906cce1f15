"""Servers with https: a private authority, a name of their own, a certificate of the edge's, and clear reasons."""

import asyncio
import ssl
from pathlib import Path

import pytest

from edge.settings.loading import load_settings
from edge.support.errors import ConfigurationError
from tests.certificates import authority, certificate
from tests.edge.conftest import Upstream


class TlsShop(Upstream):
    """A shop with TLS. shown: the certificate of each client."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self.context = context
        self.shown: list[object] = []

    async def __aenter__(self) -> "TlsShop":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self.context, limit=2**20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.shown.append(writer.get_extra_info("peercert"))
        await super()._connected(reader, writer)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


async def test_a_private_authority_and_a_name_that_is_not_the_address(edge_in_front_of, tmp_path: Path):
    own = authority(tmp_path)
    pair = certificate(tmp_path, "shop.internal", signed_by=own)
    async with TlsShop(pair.server_context()) as shop:
        tls = f'tls: {{ca_file: "{own.certificate}", server_name: shop.internal}}'
        assert (await (await edge_in_front_of(shop, tls)).get("/")).body == b"ok"
        edge = await edge_in_front_of(shop, f'tls: {{ca_file: "{own.certificate}"}}')
        assert (await edge.get("/")).status == 502, "the certificate holds another name"
        assert (await (await edge_in_front_of(shop)).get("/")).status == 502, "the authority is not trusted"


async def test_the_edge_shows_its_certificate(edge_in_front_of, tmp_path: Path):
    own = authority(tmp_path)
    context = certificate(tmp_path, "shop", "IP:127.0.0.1", signed_by=own).server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(own.certificate)
    client = certificate(tmp_path, "edge", signed_by=own)
    async with TlsShop(context) as shop:
        trusted = f'ca_file: "{own.certificate}"'
        shows = f'client_certificate: "{client.certificate}", client_key: "{client.key}"'
        assert (await (await edge_in_front_of(shop, f"tls: {{{trusted}, {shows}}}")).get("/")).body == b"ok"
        assert (("commonName", "edge"),) in shop.shown[0]["subject"]
        assert (await (await edge_in_front_of(shop, f"tls: {{{trusted}}}")).get("/")).status == 502


async def test_the_log_says_why_tls_failed(edge_in_front_of, tmp_path: Path, caplog):
    own = authority(tmp_path)
    async with TlsShop(certificate(tmp_path, "shop", "IP:127.0.0.1", signed_by=own).server_context()) as shop:
        edge = await edge_in_front_of(shop, is_watched=True)
        async with asyncio.timeout(10):
            while (await edge.get("/")).status != 503:
                await asyncio.sleep(0.02)
    [line] = [record for record in caplog.records if "is down" in record.message]
    assert line.facts["reason"].startswith("TLS: ")
    assert "issuer certificate" in line.facts["reason"]


async def test_a_reload_reads_the_files_again(edge_in_front_of, tmp_path: Path):
    old, new = authority(tmp_path, "old"), authority(tmp_path, "new")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(old.certificate.read_bytes())
    pair = certificate(tmp_path, "shop", "IP:127.0.0.1", signed_by=new)
    async with TlsShop(pair.server_context()) as shop:
        settings = f'url: "{shop.url}", tls: {{ca_file: "{trusted}"}}'
        edge = await edge_in_front_of(shop, settings)
        assert (await edge.get("/")).status == 502
        trusted.write_bytes(new.certificate.read_bytes())
        edge.reload(settings)
        assert (await edge.get("/")).body == b"ok"


@pytest.mark.parametrize(
    ("key", "content", "says"),
    [
        ("ca_file", None, "cannot be read: No such file"),
        ("ca_file", "no certificate", "holds no certificate of an authority"),
        ("client_certificate", None, "cannot be read: No such file"),
        ("client_certificate", "no certificate", "holds no certificate with its key"),
    ],
)
def test_files_that_cannot_be_used_are_faults_of_the_settings(tmp_path: Path, key, content, says):
    named, file = tmp_path / "named.pem", tmp_path / "edge.yaml"
    if content is not None:
        named.write_text(content)
    file.write_text(
        f'secret_keys_env: K\nupstream: {{url: "https://a", tls: {{{key}: "{named}"}}}}\n'
        'rooms: [{name: a, match: {paths: ["/"]}, capacity: {admissions_per_second: 1}}]\n'
    )
    with pytest.raises(ConfigurationError) as raised:
        load_settings(file)
    assert f"upstream.tls.{key}: {named} {says}" in str(raised.value)


def test_a_key_of_another_certificate_is_a_fault(tmp_path: Path):
    one, other, file = certificate(tmp_path, "one"), certificate(tmp_path, "other"), tmp_path / "edge.yaml"
    tls = f'{{client_certificate: "{one.certificate}", client_key: "{other.key}"}}'
    file.write_text(
        f'secret_keys_env: K\nupstream: {{url: "https://a", tls: {tls}}}\n'
        'rooms: [{name: a, match: {paths: ["/"]}, capacity: {admissions_per_second: 1}}]\n'
    )
    with pytest.raises(ConfigurationError, match="the key belongs to another one"):
        load_settings(file)

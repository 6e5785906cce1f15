"""The command line's side of the admin listener: ask a running edge, and say exactly why it did not answer."""

import asyncio
import json
import os
import socket
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from edge.cli.admin_errors import DEFAULT_ADMIN, AdminError, NobodyListens, NoSuchAddress, NotAnEdge
from edge.settings.loading import load_settings

__all__ = ["AdminClient", "Reply"]

TIMEOUT_S = 5.0
#: With these the listener refuses what it is asked.
REFUSALS = frozenset((400, 403, 404, 409, 412, 415, 421, 422, 428))
#: Addresses that mean "all networks of this machine" when one listens on them.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the admin listener answered."""

    status: int
    content_type: str
    body: bytes
    challenge: str
    """The field `WWW-Authenticate`."""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace").strip()

    def json(self) -> Any:
        """Return the body's JSON, or None if it is none."""
        try:
            return json.loads(self.body) if self.content_type.endswith("json") else None
        except ValueError:
            return None


class AdminClient:
    """Asks one admin listener. address: http://HOST:PORT, or unix:///PATH."""

    def __init__(self, address: str, token: str | None = None) -> None:
        self.address = address.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token.strip()}"} if token else {}

    @classmethod
    def of(cls, options: Namespace, environment: Mapping[str, str] = os.environ) -> "AdminClient":
        """Return the client that a command's options name. Raises AdminError, ConfigurationError."""
        address = DEFAULT_ADMIN if options.admin is None else options.admin
        variable = options.token_env or "STANCHION_ADMIN_TOKEN"
        if options.config is not None:
            admin = load_settings(options.config).admin
            address = _reachable(admin.listen, options.config)
            variable = options.token_env or admin.token_env or variable
        return cls(address, environment.get(variable))

    def get(self, path: str) -> Any:
        """Return the JSON at a path. Raises AdminError."""
        return self._json(path, self.ask("GET", path))

    def post(self, path: str, change: object) -> Any:
        """Make a change and return the answer's JSON. Raises AdminError."""
        return self._json(path, self.ask("POST", path, change))

    def ask(self, method: str, path: str, change: object = None, patience_s: float = TIMEOUT_S) -> Reply:
        """Return the answer, whatever its status. Raises AdminError if there is none, or if the token is missing."""
        reply = asyncio.run(self._ask(method, path, change, patience_s))
        if reply.status == 401 and reply.challenge == "Bearer":
            raise AdminError(
                f"{self.address}: the edge asks for its admin token, and {_shown(self._headers)}. Put the token into"
                " the environment variable STANCHION_ADMIN_TOKEN, or name another variable with --token-env"
            )
        return reply

    def not_an_edge(self, path: str, reply: Reply) -> NotAnEdge:
        return NotAnEdge(
            f"{self.address}{path}: this is not the admin listener of an edge: it answers {reply.status} with"
            f" {reply.content_type or 'no content type'}. Does --admin name the address of admin.listen, and not the"
            " one of visitors or of another server?"
        )

    def _json(self, path: str, reply: Reply) -> Any:
        answer = reply.json()
        if reply.status == 200 and answer is not None:
            return answer
        raise self.refused(path, reply)

    def refused(self, path: str, reply: Reply) -> AdminError:
        """Return the error for an answer that is no success: the listener's own refusal, or another server's answer."""
        if reply.status in REFUSALS and reply.content_type == "text/plain":
            return AdminError(f"{self.address}{path}: {reply.text}", status=reply.status)
        if reply.status in REFUSALS and reply.content_type == "application/problem+json":
            document = reply.json() or {}
            return AdminError(f"{self.address}{path}: {document.get('detail', reply.text)}", status=reply.status)
        return self.not_an_edge(path, reply)

    async def _ask(self, method: str, path: str, change: object, patience_s: float) -> Reply:
        connector, base = self._way()
        timeout = aiohttp.ClientTimeout(total=patience_s)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self._headers) as session,
                session.request(method, base + path, json=change, allow_redirects=False) as answer,
            ):
                challenge = answer.headers.get("WWW-Authenticate", "")
                return Reply(answer.status, answer.content_type, await answer.read(), challenge)
        except aiohttp.ClientConnectorError as error:
            raise self._unconnected(error.os_error) from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            reason = str(error) or type(error).__name__
            raise NotAnEdge(f"{self.address}: what listens there closed the connection ({reason})") from None
        except aiohttp.InvalidURL:
            raise self._no_url() from None
        except TimeoutError:
            raise NobodyListens(
                f"{self.address}: no answer within {patience_s:g} s. The edge hangs, or a firewall is in between"
            ) from None
        except aiohttp.ClientError as error:
            raise NotAnEdge(f"{self.address}: what answers there does not speak HTTP ({error})") from None

    def _way(self) -> tuple[aiohttp.BaseConnector, str]:
        """Return a connector and the base of the URLs. Raises NoSuchAddress."""
        try:
            parts = urlsplit(self.address)
            is_http = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            raise self._no_url() from None
        if parts.scheme == "unix" and parts.path:
            if not Path(parts.path).is_socket():
                raise NoSuchAddress(f"{self.address}: there is no socket at {parts.path}. Is the edge running?")
            return aiohttp.UnixConnector(parts.path), "http://localhost"
        if not is_http:
            raise self._no_url()
        return aiohttp.TCPConnector(), self.address

    def _no_url(self) -> NoSuchAddress:
        return NoSuchAddress(f"{self.address}: must look like http://HOST:PORT or unix:///PATH")

    def _unconnected(self, fault: OSError) -> AdminError:
        if isinstance(fault, socket.gaierror):
            return NoSuchAddress(f"{self.address}: the host name does not resolve ({fault.strerror})")
        if isinstance(fault, PermissionError):
            return NoSuchAddress(f"{self.address}: this user may not connect to the socket")
        reason = os.strerror(fault.errno) if fault.errno else str(fault)
        return NobodyListens(
            f"{self.address}: nothing listens there ({reason}). Is the edge running? Its log line"
            " 'ready' names its admin listener"
        )


def _reachable(listen: str, file: Path) -> str:
    """Return the URL by which this machine reaches a listener."""
    if listen.startswith("unix:"):
        return listen
    parts = urlsplit(listen)
    if parts.port == 0:
        raise NoSuchAddress(f"{file}: admin.listen takes any free port; name the one in the edge's log with --admin")
    host = EVERYWHERE.get(parts.hostname or "", parts.hostname or "")
    return f"http://[{host}]:{parts.port}" if ":" in host else f"http://{host}:{parts.port}"


def _shown(headers: Mapping[str, str]) -> str:
    return "refuses the one that was shown" if headers else "none was shown"

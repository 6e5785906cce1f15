"""Operate a running edge: `stanchion reload`, `stanchion healthcheck`."""

import os
import signal
from pathlib import Path

from edge.cli.admin_client import AdminClient
from edge.cli.admin_errors import AdminError
from edge.supervisor.pid_file import running_pid
from edge.support.errors import ConfigurationError, SettingFault, UpstreamError

__all__ = ["healthcheck", "reload", "reload_by_pid_file"]


def reload(client: AdminClient) -> str:
    """Let the edge read its settings again and return what it says. Raises AdminError, ConfigurationError."""
    reply = client.ask("POST", "/reload", {})
    answer = reply.json()
    if reply.status == 422 and isinstance(answer, dict) and "faults" in answer:
        faults = [SettingFault(fault["path"], fault["message"]) for fault in answer["faults"]]
        raise ConfigurationError(f"the edge goes on with the settings that it has: {answer['source']}", faults)
    if reply.status == 200 and isinstance(answer, dict) and "restart" in answer:
        later = ", ".join(answer["restart"])
        return "settings reloaded" + (f"; these take effect at the next start only: {later}" if later else "")
    raise client.refused("/reload", reply)


def reload_by_pid_file(path: Path) -> str:
    """Send HUP to the edge that holds a pid file. Raises UpstreamError if none does."""
    pid = running_pid(path)
    try:
        os.kill(pid, signal.SIGHUP)
    except PermissionError:
        raise UpstreamError(f"this user may not send a signal to process {pid}") from None
    return f"HUP sent to process {pid}; its log says whether the settings were accepted"


def healthcheck(client: AdminClient, *, live: bool) -> str:
    """Ask a probe of the edge. Raises AdminError if the edge is not ready (live: if it does not run)."""
    path, word = ("/livez", "alive") if live else ("/readyz", "ready")
    reply = client.ask("GET", path)
    if reply.status == 200 and reply.text == word:
        return word
    if reply.status == 503 and reply.text == "not ready":
        raise AdminError("not ready: no worker serves yet, or a stop was asked for")
    raise client.not_an_edge(path, reply)

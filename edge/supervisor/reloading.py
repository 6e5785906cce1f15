"""A reload: what waits for the next start, and whether the last one was accepted."""

import logging
from operator import attrgetter

from prometheus_client import CollectorRegistry, Gauge

from edge.operations.audit import audit
from edge.settings.model import Settings
from edge.support.errors import ConfigurationError

__all__ = ["NEEDS_RESTART", "LastReload", "keep_until_restart"]

log = logging.getLogger("edge.supervisor")

#: Settings that a reload cannot change, because sockets and processes are made at the start.
#: `configs/reference.yaml` marks the same ones.
NEEDS_RESTART = (
    "listen",
    "admin.listen",
    "admin.token_env",
    "admin.hosts",
    "state_folder",
    "record.folder",
    "tracing.otlp_url",
    "tracing.service_name",
    "pid_file",
    "plugins.listen",
    "plugins.grpc_listen",
    "plugins.report.listen",
    "workers",
    "cluster.name",
    "cluster.redis_url",
    "cluster.redis_password_env",
)


class LastReload:
    """Whether the edge goes on with the settings of the last reload."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauge = Gauge(
            "stanchion_last_reload_successful",
            "1 if the settings are those of the last reload; 0 if the edge refused them.",
            registry=registry,
        )
        self._gauge.set(1)

    def accepted(self) -> None:
        self._gauge.set(1)

    def refused(self, actor: str, fault: ConfigurationError) -> None:
        """Note that nothing changed, and why."""
        self._gauge.set(0)
        log.error("reload refused, the settings stay as they were: %s", fault)
        audit(actor, "reload", f"refused: {fault}")


def keep_until_restart(before: Settings, fresh: Settings) -> tuple[list[str], Settings]:
    """Return the paths that changed but wait for the next start, and the fresh settings without these changes."""
    changed = [path for path in NEEDS_RESTART if _fixed(path, fresh) != _fixed(path, before)]
    # A section is kept as a whole: `cluster.machines` without the Redis that was to come with it is another share.
    keep = {name: getattr(before, name) for name in {path.partition(".")[0] for path in changed}}
    return changed, fresh.model_copy(update=keep)


def _fixed(path: str, settings: Settings) -> object:
    """Return the part of a setting that a reload cannot change. Of a listener that is all but its certificates."""
    value = attrgetter(path)(settings)
    return [listener.bound for listener in value] if path == "listen" else value

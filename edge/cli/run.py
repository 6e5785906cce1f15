"""`stanchion run`: the supervisor, its admin listener, its pid file, and what the service manager is told."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from edge.operations.logs import configure_logging, facts
from edge.settings.loading import load_settings, read_keys
from edge.settings.model import Settings
from edge.supervisor.admin import AdminListener
from edge.supervisor.admin_tokens import AdminTokens
from edge.supervisor.notifications import Notifications
from edge.supervisor.pid_file import pid_file
from edge.supervisor.service_manager import ServiceManager
from edge.supervisor.state_folder import StateFolder
from edge.supervisor.supervisor import Supervisor
from edge.supervisor.webhooks import read_webhook_secrets
from edge.support.build import FORM, VERSION
from edge.support.event_loop import run_loop

__all__ = ["record_folder", "run"]

log = logging.getLogger("edge")

Source = Callable[[], tuple[Settings, tuple[bytes, ...]]]


def run(file: Path, early_hup: threading.Event) -> None:
    """Serve until a stop is asked for. early_hup: set if a HUP came before the supervisor could handle it.

    Raises ConfigurationError before an event loop is started.
    """
    tokens = AdminTokens()
    webhook_secrets: dict[str, bytes] = {}

    def source() -> tuple[Settings, tuple[bytes, ...]]:
        settings = load_settings(file)
        keys = read_keys(settings, os.environ)
        secrets = read_webhook_secrets(settings, os.environ)
        tokens.use(settings, file.parent, os.environ)
        webhook_secrets.clear()
        webhook_secrets.update(secrets)
        configure_logging(settings.log, "supervisor")
        return settings, keys

    settings, _ = source()
    state = StateFolder.find(settings.state_folder, file, os.environ)
    record = record_folder(settings, file, state)
    with pid_file(settings.pid_file):
        run_loop(_serve(source, tokens, state, record, webhook_secrets, early_hup))


def record_folder(settings: Settings, file: Path, state: StateFolder) -> Path | None:
    """Return the folder of the record that the settings ask for; None if none is kept. file: of the settings."""
    wanted = settings.record.folder
    if wanted == "auto":
        return None if state.folder is None else state.folder / "record"
    return file.parent / wanted if settings.record.is_on else None


async def _serve(
    source: Source,
    tokens: AdminTokens,
    state: StateFolder,
    record: Path | None,
    webhook_secrets: Mapping[str, bytes],
    early_hup: threading.Event,
) -> None:
    supervisor = Supervisor(source, state, record)
    notifications = Notifications(supervisor, lambda: webhook_secrets)
    manager = ServiceManager(os.environ)
    async with AdminListener(supervisor, tokens) as admin, asyncio.TaskGroup() as group:
        serving = group.create_task(supervisor.serve())
        ready = group.create_task(supervisor.wait_ready())
        helpers = [group.create_task(manager.keep_alive()), group.create_task(_tell_stop(supervisor, manager))]
        helpers.append(group.create_task(notifications.run()))
        await asyncio.wait([serving, ready], return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            _tell_ready(supervisor, admin, manager)
            if early_hup.is_set():
                supervisor.reload()
        ready.cancel()
        await asyncio.wait([serving])
        for helper in helpers:
            helper.cancel()


def _tell_ready(supervisor: Supervisor, admin: AdminListener, manager: ServiceManager) -> None:
    listening, workers = " ".join(supervisor.addresses), len(supervisor.worker_pids)
    asked = {"plugins": " ".join(supervisor.plugins.addresses)} if supervisor.plugins.addresses else {}
    named = facts(listening=listening, admin=admin.address, workers=workers, version=VERSION, form=FORM, **asked)
    log.info("ready", extra=named)
    manager.ready(f"serving {listening} with {workers} workers ({VERSION}, {FORM})")


async def _tell_stop(supervisor: Supervisor, manager: ServiceManager) -> None:
    await supervisor.wait_stop_asked()
    manager.stopping()

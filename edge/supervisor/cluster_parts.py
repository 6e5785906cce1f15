"""The parts of a supervisor that depend on whether there are other machines."""

import os

from prometheus_client import CollectorRegistry

from edge.settings.model import ClusterSettings
from edge.supervisor.link_service import LinkService
from edge.supervisor.redemption_service import RedemptionService
from edge.supervisor.redis_bus import Bus, NoBus, RedisBus
from edge.supervisor.state_folder import StateFolder

__all__ = ["cluster_parts"]


def cluster_parts(
    cluster: ClusterSettings, machine: str, folder: StateFolder, registry: CollectorRegistry
) -> tuple[Bus, RedemptionService, LinkService]:
    """Return the way to the other machines, what checks redemptions with them, and which links were opened.

    machine: this machine's name. folder: what keeps the links if there is no other machine."""
    password = os.environ.get(cluster.redis_password_env) if cluster.redis_password_env else None
    redemption = RedemptionService(cluster.redis_url, password, cluster.name, registry)
    links = LinkService(cluster.redis_url, password, cluster.name, folder)
    if cluster.redis_url is None:
        return NoBus(), redemption, links
    return RedisBus(cluster.redis_url, password, f"stanchion:{cluster.name}", machine, registry), redemption, links

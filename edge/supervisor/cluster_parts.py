"""The parts of a supervisor that depend on whether there are other machines."""

import os

from prometheus_client import CollectorRegistry

from edge.settings.model import ClusterSettings
from edge.supervisor.redemption_service import RedemptionService
from edge.supervisor.redis_bus import Bus, NoBus, RedisBus

__all__ = ["cluster_parts"]


def cluster_parts(cluster: ClusterSettings, machine: str, registry: CollectorRegistry) -> tuple[Bus, RedemptionService]:
    """Return the way to the other machines, and what checks redemptions with them. machine: this machine's name."""
    password = os.environ.get(cluster.redis_password_env) if cluster.redis_password_env else None
    redemption = RedemptionService(cluster.redis_url, password, cluster.name, registry)
    if cluster.redis_url is None:
        return NoBus(), redemption
    return RedisBus(cluster.redis_url, password, f"stanchion:{cluster.name}", machine, registry), redemption

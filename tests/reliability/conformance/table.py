"""All requirements, for the edge, nginx and HAProxy in one run, and the tables of the page."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.reliability.conformance import answering, forwarding, reading
from tests.reliability.conformance.probe import Origin, Requirement, ask
from tests.reliability.proxies import PROXIES, running

__all__ = ["GROUPS", "REQUIREMENTS", "compare", "fails", "page"]

LANES = 8
GROUPS: dict[str, tuple[Requirement, ...]] = {
    "How a request is read": reading.REQUIREMENTS,
    "What goes on to the upstream": forwarding.REQUIREMENTS,
    "What comes back": answering.REQUIREMENTS,
}
REQUIREMENTS = tuple(requirement for group in GROUPS.values() for requirement in group)


async def fails(lanes: Sequence[tuple[int, Origin]]) -> set[Requirement]:
    """Return the requirements that a proxy does not meet. `lanes`: its ports, and the upstream behind each."""
    todo, failed = list(REQUIREMENTS)[::-1], set()

    async def lane(port: int, origin: Origin) -> None:
        while todo:
            requirement = todo.pop()
            for probe in requirement.probes:
                if not probe.holds(await ask(port, origin, probe)):
                    failed.add(requirement)
                    break

    async with asyncio.TaskGroup() as group:
        for port, origin in lanes:
            group.create_task(lane(port, origin))
    return failed


async def compare() -> dict[str, tuple[str, set[Requirement]]]:
    """Return the version of each proxy and the requirements that it fails."""
    loop, found = asyncio.get_running_loop(), {}
    for proxy in PROXIES:
        origins = [Origin() for _ in range(LANES)]
        servers = [await loop.create_server(origin.protocol, "127.0.0.1", 0) for origin in origins]
        with tempfile.TemporaryDirectory() as folder:
            at = [server.sockets[0].getsockname()[1] for server in servers]
            async with running(proxy, Path(folder), at) as (version, ports):
                found[proxy] = version, await fails(list(zip(ports, origins, strict=False)))
        for server, origin in zip(servers, origins, strict=True):
            server.close()
            origin.close()
    return found


def page(found: dict[str, tuple[str, set[Requirement]]]) -> str:
    """Return the tables in Markdown, with the reasons for what the edge does not meet."""
    rows = [f"| of {len(REQUIREMENTS)} requirements | not met |", "| --- | --- |"]
    rows += [f"| {proxy} {version} | **{len(failed)}** |" for proxy, (version, failed) in found.items()]
    for title, group in GROUPS.items():
        rows += ["", f"## {title}", f"| RFC | | {' | '.join(found)} |", "| --- | --- |" + " :-: |" * len(found)]
        for requirement in group:
            cells = " | ".join("**no**" if requirement in failed else "yes" for _, failed in found.values())
            rows.append(f"| {requirement.section} | {requirement.says} | {cells} |")
    rows += ["", "## What the edge does not meet, and why"]
    rows += [f"- **{each.says}** ({each.section}): {each.reason}." for each in REQUIREMENTS if each.reason]
    return "\n".join(rows)

"""The API keeps to its OpenAPI document: schemathesis asks a real edge whatever the document allows and forbids."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Any, cast

from edge.supervisor.api_document import openapi
from edge.supervisor.link_api import LinkApi
from edge.supervisor.link_bodies import LINK_BODIES
from edge.supervisor.report_api import ReportApi
from edge.supervisor.room_api import RoomApi, RoomPatch
from edge.supervisor.sale_api import SaleApi
from edge.supervisor.supervisor import Supervisor
from tests.edge.whole import whole_edge


async def test_the_api_keeps_to_its_document(tmp_path: Path):
    async with whole_edge(tmp_path, workers=1) as edge:
        program = Path(sys.executable).with_name("schemathesis")
        options = ["--max-examples", "20", "--seed", "1", "--exclude-checks", "positive_data_acceptance"]
        document = f"{edge.running.admin}/v1/openapi.json"
        # A stream has no end, and each report is made by a process: tests/edge/supervisor/test_recording.py.
        endless = ["--exclude-path-regex", "/(stream|report)$"]
        run = await asyncio.create_subprocess_exec(
            *(program, "run", document, *options, *endless), stdout=PIPE, stderr=STDOUT, cwd=tmp_path
        )
        output, _ = await run.communicate()
        assert run.returncode == 0, output.decode()
        assert "11 selected / 13 total" in output.decode()


def test_the_document_names_every_route():
    document: dict[str, Any] = openapi("http://127.0.0.1:9090", RoomPatch, ["checkout"], LINK_BODIES)
    methods = ("get", "patch", "delete", "post", "put")
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item if method in methods
    }
    supervisor = cast(Supervisor, None)
    api = RoomApi(supervisor, "http://127.0.0.1:9090")
    routes = [
        *api.routes(),
        *SaleApi(supervisor).routes(),
        *LinkApi(supervisor).routes(),
        *ReportApi(supervisor).routes(),
    ]
    assert {(route.method, route.path) for route in routes} == described

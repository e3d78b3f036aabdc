"""A Service of a real API server that says where it describes its operations, asked at its cluster IP."""

import asyncio
import contextlib

import pytest
from aiohttp import web

from authorizer.app.catalogue import Reporting, Survey
from authorizer.discovery.catalogue import Catalogue
from authorizer.settings import Discovery
from authorizer.telemetry.metrics import Metrics
from tests.discovery.cluster import api_server

pytestmark = pytest.mark.interop_kubernetes

ADDRESS = "127.64.0.77"
"""A cluster IP of the range below, which this host answers for as well."""


async def described(_request: web.Request) -> web.Response:
    return web.json_response({"openapi": "3.1.0", "paths": {"/orders/{id}": {"get": {"operationId": "getOrder"}}}})


def service(port, annotations):
    return {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "orders", "namespace": "default", "annotations": annotations},
        "spec": {"clusterIP": ADDRESS, "ports": [{"name": "http", "port": port}]},
    }  # fmt: skip


async def test_what_an_annotation_names_is_read_and_goes_with_it(tmp_path):
    app = web.Application()
    app.router.add_get("/openapi.json", described)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, ADDRESS, 0).start()
    port = runner.addresses[0][1]
    async with api_server(tmp_path, "--service-cluster-ip-range", "127.64.0.0/16") as server:
        settings = Discovery(kubernetes=str(server.kubeconfig()), annotated=True, interval_seconds=1)
        survey = Survey(settings, Reporting(None, "me", lambda: "1", Metrics("test")))
        task = asyncio.create_task(survey.forever())
        try:
            for value, expected in (
                ({"authorizer/openapi": "/openapi.json"}, {("GET", "/orders/{id}", "getOrder")}),
                ({"authorizer/openapi": "81/openapi.json"}, set()),
            ):
                await server.apply(service(port, value))
                await until(survey, expected)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    await runner.cleanup()


async def until(survey, expected):
    for _ in range(600):
        found: Catalogue = survey._together(await survey.cluster.read())
        told = {(one.method, one.path, one.id) for api in found.apis for one in api.operations}
        if survey.told.digest and told == expected:
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"{told} never became {expected}")

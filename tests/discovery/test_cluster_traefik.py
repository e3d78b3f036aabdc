"""A real Traefik beside discovery, both at one API server: what an IngressRoute declares and what is served are one API."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from authorizer.discovery import traefik_api
from authorizer.discovery.joining import join
from authorizer.errors import DiscoveryError
from authorizer.model import Api
from tests.deploy.installing import space
from tests.discovery.cluster import TOKEN, api_server, free_port, types
from tests.discovery.test_discovery_live import program
from tests.discovery.watched import WAIT, Watched, until

pytestmark = [
    pytest.mark.interop_kubernetes,
    pytest.mark.skipif(not program(), reason="no Traefik: .ci/traefik/build makes one"),
]

TRAEFIK = "traefik.io/v1alpha1"
AUTH = {"forwardAuth": {"address": "http://authorizer.auth.svc:9192/authz/traefik"}}
RULES = {"/asked": [{"name": "asks", "namespace": "auth"}], "/open": []}


def value(version: str, kind: str, name: str, namespace: str, spec: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def route(path: str, middlewares: list[dict[str, str]]) -> dict[str, Any]:
    match = f"Host(`shop.example`) && PathPrefix(`{path}`)"
    return {"kind": "Rule", "match": match, "services": [{"name": "orders", "port": 80}], "middlewares": middlewares}


async def served(url: str, routers: int) -> tuple[Api, ...]:
    async with asyncio.timeout(WAIT):
        while True:
            with contextlib.suppress(DiscoveryError):  # it is still starting
                apis = (await traefik_api.ask(url, ["authorizer"])).reading.apis
                if sum(each.hosts == ("shop.example",) for each in apis) == routers:
                    return apis
            await asyncio.sleep(0.1)


async def test_what_is_declared_and_what_is_served_are_one(tmp_path: Path) -> None:
    async with api_server(tmp_path, kinds=types("traefik")) as server:
        await server.apply(space("shop"), space("auth"))
        await server.apply(
            value("v1", "Service", "orders", "shop", {"ports": [{"port": 80}]}),
            value(TRAEFIK, "Middleware", "asks", "auth", AUTH),
            *(
                value(TRAEFIK, "IngressRoute", f"web.{path[1:]}", "shop", {"routes": [route(path, passed)]})
                for path, passed in RULES.items()
            ),
        )
        (tmp_path / "ca.crt").write_text(server.authority())
        port = free_port()
        arguments = {
            "api.insecure": "true",
            "entrypoints.traefik.address": f"127.0.0.1:{port}",
            "entrypoints.web.address": f"127.0.0.1:{free_port()}",
            "providers.kubernetescrd.endpoint": server.url,
            "providers.kubernetescrd.token": TOKEN,
            "providers.kubernetescrd.certauthfilepath": str(tmp_path / "ca.crt"),
            "providers.kubernetescrd.allowcrossnamespace": "true",
            "providers.kubernetescrd.allowemptyservices": "true",
            "global.sendanonymoususage": "false",
        }
        process = await asyncio.create_subprocess_exec(
            program(), *(f"--{name}={said}" for name, said in arguments.items()), stdout=asyncio.subprocess.DEVNULL
        )
        try:
            found = await served(f"http://127.0.0.1:{port}", len(RULES))
            async with Watched(server) as cluster:
                declared = await until(cluster, lambda reading: len(reading.apis) >= len(RULES))
        finally:
            process.terminate()
            await process.wait()
    together = [api for api in join(declared.apis, found) if api.hosts == ("shop.example",)]
    assert {api.routes[0].path: (len(api.sources), len(api.routes), api.asking) for api in together} == {
        "/asked": (2, 1, "asks"),
        "/open": (2, 1, "does_not"),
    }

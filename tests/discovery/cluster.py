"""A real API server with its store, on free ports of this host, that can be stopped and started again."""

import asyncio
import base64
import contextlib
import json
import os
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "authorizer" / "kubernetes"
TOKEN = "admin-token-of-a-test"
READER = "reader-token-of-a-test"
WAIT = 60


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class ApiServer:
    """``url`` and ``authority`` reach it; ``apply`` sends an object the way ``kubectl apply --server-side`` does."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port, self.store_port, peer = free_port(), free_port(), free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.server: subprocess.Popen[bytes] | None = None
        store = f"http://127.0.0.1:{self.store_port}"
        self.store = self._start(
            "etcd", "--data-dir", str(home / "etcd"), "--listen-client-urls", store, "--advertise-client-urls", store,
            "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--log-level", "error", "--unsafe-no-fsync",
        )  # fmt: skip
        (home / "tokens.csv").write_text(f'{TOKEN},admin,1,"system:masters"\n{READER},reader,2\n')
        subprocess.run(
            ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(home / "sa.key")],
            check=True, capture_output=True,
        )  # fmt: skip

    def _start(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        with (self.home / f"{program}.log").open("ab") as log:
            return subprocess.Popen([str(CACHE / program), *words], stdout=log, stderr=log)

    async def start(self) -> None:
        self.server = self._start(
            "kube-apiserver", "--etcd-servers", f"http://127.0.0.1:{self.store_port}", "--bind-address", "127.0.0.1",
            "--secure-port", str(self.port), "--cert-dir", str(self.home / "tls"),
            "--token-auth-file", str(self.home / "tokens.csv"), "--authorization-mode", "RBAC",
            "--service-account-issuer", "https://cluster.test", "--service-account-key-file", str(self.home / "sa.key"),
            "--service-account-signing-key-file", str(self.home / "sa.key"), "--service-cluster-ip-range", "10.0.0.0/16",
            "--disable-admission-plugins", "ServiceAccount", "--watch-cache=true",
        )  # fmt: skip
        async with asyncio.timeout(WAIT):
            while not await self._ready():
                assert self.server.poll() is None, (self.home / "kube-apiserver.log").read_text()[-2000:]
                await asyncio.sleep(0.1)

    async def _ready(self) -> bool:
        with contextlib.suppress(OSError, aiohttp.ClientError):
            return (await self.ask("GET", "/readyz"))[0] == 200
        return False

    def stop(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()

    def close(self) -> None:
        self.stop()
        self.store.kill()
        self.store.wait()

    def authority(self) -> str:
        return (self.home / "tls" / "apiserver.crt").read_text()

    async def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> tuple[int, Any]:
        tls = ssl.create_default_context(cadata=self.authority())
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session:
            headers = {"authorization": f"Bearer {TOKEN}", "content-type": kind}
            data = None if body is None else json.dumps(body)
            async with session.request(method, self.url + path, headers=headers, data=data) as answer:
                said = await answer.read()
                return answer.status, json.loads(said) if said.startswith(b"{") else said

    async def apply(self, *objects: dict[str, Any]) -> None:
        for value in objects:
            path = await self.path_of(value)
            query = "?fieldManager=test&force=true&fieldValidation=Strict"
            status, said = await self.ask("PATCH", path + query, value, "application/apply-patch+yaml")
            assert status in {200, 201}, (path, said)

    async def delete(self, value: dict[str, Any]) -> None:
        status, said = await self.ask("DELETE", await self.path_of(value))
        assert status in {200, 202, 404}, said

    async def path_of(self, value: dict[str, Any]) -> str:
        version, kind = value["apiVersion"], value["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        async with asyncio.timeout(WAIT):
            while True:
                _, served = await self.ask("GET", root)
                for each in served.get("resources", []):
                    if each["kind"] == kind and "/" not in each["name"]:
                        space = value["metadata"].get("namespace", "default")
                        inside = f"/namespaces/{space}" if each["namespaced"] else ""
                        return f"{root}{inside}/{each['name']}/{value['metadata']['name']}"
                await asyncio.sleep(0.1)

    def kubeconfig(self, token: str = TOKEN) -> Path:
        authority = base64.b64encode(self.authority().encode()).decode()
        config = {
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [
                {
                    "name": "test",
                    "cluster": {
                        "server": self.url,
                        "certificate-authority-data": authority,
                    },
                }
            ],
            "users": [{"name": "test", "user": {"token": token}}],
        }
        path = self.home / f"kubeconfig-{token}"
        path.write_text(yaml.safe_dump(config))
        return path


@contextlib.asynccontextmanager
async def api_server(home: Path) -> AsyncIterator[ApiServer]:
    """Run an API server that knows the kinds of the Gateway API, Istio and Envoy Gateway."""
    if not (CACHE / "kube-apiserver").exists() or not (CACHE / "etcd").exists():
        pytest.skip("there is no API server: make interop-kubernetes builds it")
    server = ApiServer(home)
    try:
        await server.start()
        for path in sorted((CACHE / "types").glob("*.yaml")):
            for value in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
                if value and value.get("kind") == "CustomResourceDefinition":
                    await server.apply(value)
        yield server
    finally:
        server.close()

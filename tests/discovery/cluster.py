"""A real API server with its store, on free ports of this host, that can be stopped and started again."""

import asyncio
import base64
import contextlib
import copy
import json
import os
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "authorizer" / "kubernetes"
TOKEN = "admin-token-of-a-test"
READER = "reader-token-of-a-test"
WAIT = 60
AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}],
}
_AT_ONCE = 4
_BUSY = {429, 503, 504}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class ApiServer:
    """``url`` and ``authority`` reach it; ``apply`` sends an object the way ``kubectl apply --server-side`` does.

    ``warned`` collects what it warns of. ``flags`` are further ones of kube-apiserver, also for the next start.
    """

    def __init__(self, home: Path, *flags: str) -> None:
        self.home = home
        self.flags = flags
        self.warned: list[str] = []
        self.port, self.store_port, peer = free_port(), free_port(), free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.server: subprocess.Popen[bytes] | None = None
        self._served: dict[str, list[Any]] = {}
        self._compacted = ""
        store = f"http://127.0.0.1:{self.store_port}"
        self.store = self._start(
            "etcd", "--data-dir", str(home / "etcd"), "--listen-client-urls", store, "--advertise-client-urls", store,
            "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--log-level", "error", "--unsafe-no-fsync",
        )  # fmt: skip
        (home / "tokens.csv").write_text(f'{TOKEN},admin,1,"system:masters"\n{READER},reader,2\n')
        (home / "audit.yaml").write_text(yaml.safe_dump(AUDIT))
        subprocess.run(
            ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(home / "sa.key")],
            check=True, capture_output=True,
        )  # fmt: skip

    def second(self, *flags: str) -> "ApiServer":
        """Return another API server of the same cluster, not yet started."""
        other = copy.copy(self)
        other.port, other.server, other.flags = free_port(), None, flags
        other.url = f"https://127.0.0.1:{other.port}"
        return other

    def _start(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        with (self.home / f"{program}.log").open("ab") as log:
            return subprocess.Popen([str(CACHE / program), *words], stdout=log, stderr=log)

    def launch(self) -> None:
        """Start the API server, whether or not it can be reached."""
        self.server = self._start(
            "kube-apiserver", "--etcd-servers", f"http://127.0.0.1:{self.store_port}", "--bind-address", "127.0.0.1",
            "--secure-port", str(self.port), "--cert-dir", str(self.home / "tls"),
            "--token-auth-file", str(self.home / "tokens.csv"), "--authorization-mode", "RBAC",
            "--service-account-issuer", "https://cluster.test", "--service-account-key-file", str(self.home / "sa.key"),
            "--service-account-signing-key-file", str(self.home / "sa.key"), "--service-cluster-ip-range", "10.0.0.0/16,fd00::/108",
            "--audit-policy-file", str(self.home / "audit.yaml"), "--audit-log-path", str(self.home / "audit.log"),
            *self.flags,
        )  # fmt: skip

    async def start(self) -> None:
        """Start the API server and wait until it is ready."""
        self.launch()
        assert self.server is not None
        async with asyncio.timeout(WAIT):
            while not await self._ready():
                assert self.server.poll() is None, (self.home / "kube-apiserver.log").read_text()[-2000:]
                await asyncio.sleep(0.1)

    async def _ready(self) -> bool:
        with contextlib.suppress(OSError, aiohttp.ClientError):
            return (await self.ask("GET", "/readyz"))[0] == 200
        return False

    @property
    def running(self) -> bool:
        return self.server is not None and self.server.poll() is None

    def stop(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()

    def close(self) -> None:
        self.stop()
        self.store.kill()
        self.store.wait()

    def authority(self) -> str:
        own = self.home / "tls" / "authority.crt"
        return (own if own.exists() else self.home / "tls" / "apiserver.crt").read_text()

    @contextlib.asynccontextmanager
    async def _session(self, token: str = TOKEN) -> AsyncIterator[aiohttp.ClientSession]:
        tls = ssl.create_default_context(cadata=self.authority())
        headers = {"authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls), headers=headers) as session:
            yield session

    async def _send(
        self, session: aiohttp.ClientSession, method: str, path: str, body: Any = None, kind: str = "application/json"
    ) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body)
        async with session.request(method, self.url + path, headers={"content-type": kind}, data=data) as answer:
            said = await answer.read()
            self.warned += answer.headers.getall("warning", [])
            return answer.status, json.loads(said) if said.startswith(b"{") else said

    async def ask(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", token: str = TOKEN
    ) -> tuple[int, Any]:
        async with self._session(token) as session:
            return await self._send(session, method, path, body, kind)

    async def apply(self, *objects: Mapping[str, Any], dry: bool = False) -> None:
        """Send objects, those of the same kind at once; each has to be taken."""
        refused = await self.refused(*objects, dry=dry)
        assert not refused, refused

    async def refused(self, *objects: Mapping[str, Any], dry: bool = False) -> list[str]:
        """Send objects and return what the API server has against them; ``dry``: nothing is kept."""
        query = "?fieldManager=test&force=true&fieldValidation=Strict" + ("&dryRun=All" if dry else "")
        said: list[str] = []
        turn = asyncio.Semaphore(_AT_ONCE)

        async def send(session: aiohttp.ClientSession, value: Mapping[str, Any]) -> None:
            async with turn:
                path = await self.path_of(value) + query
                async with asyncio.timeout(WAIT):
                    while True:
                        status, answer = await self._send(session, "PATCH", path, value, "application/apply-patch+yaml")
                        if status not in _BUSY:
                            break
                        await asyncio.sleep(1)
                if status not in {200, 201}:
                    said.append(answer["message"])

        async with self._session() as session:
            for kind in dict.fromkeys((each["apiVersion"], each["kind"]) for each in objects):
                await asyncio.gather(
                    *(send(session, each) for each in objects if (each["apiVersion"], each["kind"]) == kind)
                )
        return said

    async def delete(self, value: Mapping[str, Any]) -> None:
        status, said = await self.ask("DELETE", await self.path_of(value))
        assert status in {200, 202, 404}, said

    async def path_of(self, value: Mapping[str, Any]) -> str:
        version, kind = value["apiVersion"], value["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        async with asyncio.timeout(WAIT):
            while True:
                for each in self._served.get(root, []):
                    if each["kind"] == kind and "/" not in each["name"]:
                        space = value["metadata"].get("namespace", "default")
                        inside = f"/namespaces/{space}" if each["namespaced"] else ""
                        return f"{root}{inside}/{each['name']}/{value['metadata']['name']}"
                _, served = await self.ask("GET", root)
                self._served[root] = served.get("resources", []) if isinstance(served, dict) else []
                await asyncio.sleep(0 if self._served[root] else 0.1)

    async def token(self, namespace: str, account: str) -> str:
        """Return a token of a service account, as a pod would have it."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        status, said = await self.ask("POST", path, request)
        assert status == 201, said
        return said["status"]["token"]

    def audited(self, user: str) -> list[dict[str, Any]]:
        """Return what a service account did."""
        lines = (self.home / "audit.log").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["user"]["username"] == user]

    async def put(self, objects: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Put objects straight into the store, each under its key: many, or such as the API server would refuse."""
        async with aiohttp.ClientSession() as session:
            turn: list[dict[str, Any]] = []
            for key, value in objects:
                put = {"key": _encoded(key), "value": _encoded(json.dumps(value))}
                turn.append({"requestPut": put})
                if len(turn) == 100:
                    await self._stored(session, "txn", {"success": turn})
                    turn = []
            await self._stored(session, "txn", {"success": turn})

    async def forget(self, begin: str, end: str) -> None:
        """Delete what the store has from one key up to another, which stays."""
        async with aiohttp.ClientSession() as session:
            await self._stored(session, "deleterange", {"key": _encoded(begin), "range_end": _encoded(end)})

    async def compact(self) -> None:
        """Let the store forget all but the present: a watch from an earlier version is answered with 410."""
        async with aiohttp.ClientSession() as session:
            found = await self._stored(session, "range", {"key": _encoded("none")})
            if (now := found["header"]["revision"]) != self._compacted:
                await self._stored(session, "compaction", {"revision": now, "physical": True})
            self._compacted = now

    async def _stored(self, session: aiohttp.ClientSession, call: str, body: Any) -> Any:
        async with session.post(f"http://127.0.0.1:{self.store_port}/v3/kv/{call}", json=body) as answer:
            said = await answer.json()
            assert answer.status == 200, said
            return said

    def kubeconfig(self, token: str = TOKEN, port: int = 0) -> Path:
        """Write a kubeconfig for who has a token; ``port``: of a relay."""
        authority = base64.b64encode(self.authority().encode()).decode()
        reached = {"server": f"https://127.0.0.1:{port or self.port}", "certificate-authority-data": authority}
        config = {
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": reached}],
            "users": [{"name": "test", "user": {"token": token}}],
        }
        path = self.home / f"kubeconfig-{token[-20:]}-{port}"
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)
        return path


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def types(*names: str) -> list[dict[str, Any]]:
    """Return the definitions of kinds of the files that are named so (all)."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((CACHE / "types").glob("*.yaml")):
        if not names or any(name in path.name for name in names):
            for value in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
                if value and value.get("kind") == "CustomResourceDefinition":
                    found.setdefault(value["metadata"]["name"], value)
    return list(found.values())


@contextlib.asynccontextmanager
async def api_server(
    home: Path, *flags: str, kinds: Iterable[Mapping[str, Any]] | None = None
) -> AsyncIterator[ApiServer]:
    """Run an API server that knows the kinds of the Gateway API, Istio, Envoy Gateway and others, or ``kinds``."""
    if not (CACHE / "kube-apiserver").exists() or not (CACHE / "etcd").exists():
        pytest.skip("there is no API server: make interop-kubernetes builds it")
    server = ApiServer(home, *flags)
    try:
        await server.start()
        await server.apply(*(types() if kinds is None else kinds))
        server.warned.clear()
        yield server
    finally:
        server.close()


class Relay:
    """Passes connections on to a port of this host, as long as it is not cut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._ways: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = free_port()

    async def open(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(self._taken, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Break off all connections and take no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.drop()

    async def drop(self) -> None:
        """Break off all connections."""
        for way in self._ways:
            way.cancel()
        await asyncio.gather(*self._ways, return_exceptions=True)

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        way = asyncio.create_task(self._pass(reader, writer))
        self._ways.add(way)
        way.add_done_callback(self._ways.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            with contextlib.suppress(OSError):
                there, back = await asyncio.open_connection("127.0.0.1", self._to)
                ends.append(back)
                await asyncio.wait(
                    [asyncio.ensure_future(each) for each in (_pump(reader, back), _pump(there, writer))],
                    return_when=asyncio.FIRST_COMPLETED,
                )
        finally:
            for end in ends:
                end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()

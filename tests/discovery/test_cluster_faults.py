"""A real API server with odd objects, missing kinds, too many of them, endless interruptions and a wrong clock."""

import asyncio
import datetime as dt
import ipaddress
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from authorizer.discovery.kubernetes import watching
from authorizer.discovery.kubernetes.reading import Reading
from authorizer.model import Api
from tests.discovery.cluster import ApiServer, Relay, api_server, types
from tests.discovery.watched import Watched, until

pytestmark = [pytest.mark.interop_kubernetes, pytest.mark.asyncio(loop_scope="module")]

MANY = 50_000
MOST_MEGABYTES = 600
GROUP = "gateway.networking.k8s.io"
ROUTES = f"httproutes.{GROUP}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiServer]:
    async with api_server(tmp_path_factory.mktemp("cluster"), kinds=types("gateway-api")) as running:
        yield running


def space(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def route(namespace: str, name: str, spec: Any = None, path: str = "/") -> dict[str, Any]:
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": path}}]}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"hostnames": [f"{name}.example"], "rules": [rule]} if spec is None else spec,
    }


def stored(value: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    at = {
        "uid": f"{value['metadata']['namespace']}-{value['metadata']['name']}",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 1,
    }
    key = f"/registry/{GROUP}/httproutes/{value['metadata']['namespace']}/{value['metadata']['name']}"
    return key, {**value, "metadata": {**value["metadata"], **at}}


def named(found: Reading, namespace: str) -> dict[str, Api]:
    return {api.id.split("/")[3]: api for api in found.apis if api.id.startswith(f"kubernetes/HTTPRoute/{namespace}/")}


ODD: dict[str, Any] = {
    "spec-is-a-number": 1,
    "spec-is-a-list": [],
    "rules-are-text": {"rules": "all"},
    "a-rule-is-a-number": {"rules": [1]},
    "a-match-is-text": {"rules": [{"matches": ["/"]}]},
    "a-type-is-unknown": {"rules": [{"matches": [{"path": {"type": "Odd", "value": "/a"}}]}]},
    "a-value-is-a-number": {"rules": [{"matches": [{"path": {"type": "Exact", "value": 5}}]}]},
    "a-filter-is-unknown": {"rules": [{"filters": [{"type": "Odd"}]}]},
    "a-host-is-a-number": {"hostnames": [5]},
    "a-host-is-none": {"hostnames": ["a b"]},
    "parents-are-a-mapping": {"parentRefs": {"name": "x"}},
    "a-backend-is-text": {"rules": [{"backendRefs": ["x"]}]},
}


async def test_objects_that_fail_their_schema_are_told_and_hide_no_others(server: ApiServer) -> None:
    await server.apply(space("odd"), route("odd", "good"))
    async with Watched(server) as cluster:
        # They were stored before their schema said so: the API server hands them out as they are.
        await server.put(stored(route("odd", name, spec)) for name, spec in ODD.items())
        found = await until(cluster, lambda found: ODD.keys() <= named(found, "odd").keys())
        apis = named(found, "odd")
        assert apis["good"].hosts == ("good.example",)
        for name in ODD:
            flags = {*apis[name].flags, *(flag for each in apis[name].routes for flag in each.flags)}
            assert [flag for flag in flags if flag.endswith("_unread")], (name, flags)
            assert name == "a-type-is-unknown" or [note for note in found.notes if f"odd/{name}:" in note], name
        for name in ODD:
            await server.delete(route("odd", name))
        found = await until(cluster, lambda found: named(found, "odd").keys() == {"good"})
        assert found.notes == ()


async def test_two_routes_for_one_path_are_both_there_and_told(server: ApiServer) -> None:
    spec = route("twice", "one")["spec"]
    await server.apply(space("twice"), route("twice", "one", spec), route("twice", "two", spec))
    async with Watched(server) as cluster:
        found = await until(cluster, lambda found: len(named(found, "twice")) == 2)
        assert all("contested" in each.routes[0].flags for each in named(found, "twice").values())
        await server.delete(route("twice", "one"))
        found = await until(cluster, lambda found: len(named(found, "twice")) == 1)
        assert "contested" not in named(found, "twice")["two"].routes[0].flags


async def test_a_watch_that_is_broken_off_every_second(server: ApiServer) -> None:
    await server.apply(space("broken"))
    relay = Relay(server.port)
    await relay.open()
    async with Watched(server, port=relay.port) as cluster:

        async def breaking() -> None:
            for _ in itertools.count():
                await asyncio.sleep(1)
                await relay.drop()

        task = asyncio.create_task(breaking())
        for number in range(10):
            await server.apply(route("broken", "one", path=f"/p{number}"))
            await until(cluster, lambda found, path=f"/p{number}": path in str(named(found, "broken")))
            await asyncio.sleep(0.4)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        found = await until(cluster, lambda found: not found.notes)
        assert named(found, "broken").keys() == {"one"}
    await relay.cut()


async def test_a_watch_that_the_server_ends_every_second(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "WATCH_SECONDS", 1)
    await server.apply(space("ending"))
    async with Watched(server) as cluster:
        for number in range(10):
            await server.apply(route("ending", "one", path=f"/p{number}"))
            await until(cluster, lambda found, path=f"/p{number}": path in str(named(found, "ending")))
            await asyncio.sleep(0.3)
        assert cluster.failures()[ROUTES] == 0
        assert (await cluster.read()).notes == ()


async def test_kinds_that_come_and_go(tmp_path: Path) -> None:
    async with api_server(tmp_path, kinds=()) as server, Watched(server) as cluster:
        found = await cluster.read()
        assert (cluster.whole, found.notes) == (True, ())
        assert {feed.kind.group for feed in cluster.feeds if feed.state == "absent"} == {
            *(GROUP, "networking.istio.io", "security.istio.io", "gateway.envoyproxy.io", "traefik.io")
        }
        kinds = types("gateway-api")
        await server.apply(*kinds)
        await server.apply(route("default", "late"))
        await until(cluster, lambda found: named(found, "default").keys() == {"late"})
        await server.delete(next(each for each in kinds if each["metadata"]["name"] == ROUTES))
        await until(cluster, lambda found: not named(found, "default"))
        await until(cluster, lambda found: cluster.whole and not found.notes)


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


class Authority:
    """Signs certificates of an API server that begin to be valid in so many days."""

    def __init__(self, home: Path) -> None:
        self.tls = home / "tls"
        self.tls.mkdir()
        self.key = ec.generate_private_key(ec.SECP256R1())
        (self.tls / "authority.crt").write_bytes(pem(self._signed("authority", self.key, -1, None)))

    def sign(self, days: int) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (self.tls / "apiserver.key").write_bytes(key.private_bytes(*form))
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        (self.tls / "apiserver.crt").write_bytes(pem(self._signed("server", key, days, here)))

    def _signed(
        self, name: str, key: ec.EllipticCurvePrivateKey, days: int, names: x509.SubjectAlternativeName | None
    ) -> x509.Certificate:
        begins = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
        subject, issuer = (
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in (name, "authority")
        )
        made = x509.CertificateBuilder(
            issuer, subject, key.public_key(), days + 9, begins, begins + dt.timedelta(days=30)
        )
        made = made.add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        made = made.add_extension(above, critical=False)
        return (made.add_extension(names, critical=False) if names else made).sign(self.key, hashes.SHA256())


async def told(caplog: pytest.LogCaptureFixture, text: str) -> None:
    async with asyncio.timeout(60):
        while True:
            if text in caplog.text:
                return
            await asyncio.sleep(0.2)


async def test_a_clock_that_is_wrong_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = Authority(tmp_path)
    authority.sign(-1)
    async with api_server(tmp_path, kinds=types("gateway-api")) as server:
        await server.apply(route("default", "kept"))
        async with Watched(server) as cluster:
            await until(cluster, lambda found: named(found, "default").keys() == {"kept"})
            whole = cluster.whole
            server.stop()
            # To this host the certificate is of tomorrow, as when the clocks differ.
            authority.sign(1)
            server.launch()
            await told(caplog, f"{ROUTES} cannot be watched: its certificate is refused: certificate is not yet valid")
            found = await cluster.read()
            assert named(found, "default").keys() == {"kept"}
            assert len(found.notes) == len([feed for feed in cluster.feeds if feed.state == "failing"]) > 0
            assert cluster.whole == whole
            server.stop()
            authority.sign(-1)
            await server.start()
            await server.apply(route("default", "new"))
            await until(cluster, lambda found: named(found, "default").keys() == {"kept", "new"} and not found.notes)


def run(command: list[str], to: Path) -> tuple[int, int]:
    """Run a command, its output into a file; return its exit code and the most memory that it had, in MB."""
    with to.open("wb") as file:
        process = subprocess.Popen(command, stdout=file)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss // 1024


async def test_fifty_thousand_objects(server: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await server.apply(space("many"))
    await server.put(stored(route("many", f"r{number:05}")) for number in range(MANY))
    before = time.monotonic()
    command = [sys.executable, "-m", "authorizer", "discover", "--output=json", f"--kubernetes={server.kubeconfig()}"]
    printed = tmp_path / "printed.json"
    code, megabytes = await asyncio.to_thread(run, command, printed)
    took = time.monotonic() - before
    with capsys.disabled():
        print(f"\n{MANY:,} routes listed and printed in {took:.1f} s with at most {megabytes} MB")
    assert (code, megabytes < MOST_MEGABYTES) == (0, True)
    apis = json.loads(printed.read_bytes())["apis"]
    assert len([api for api in apis if api["id"].startswith("kubernetes/HTTPRoute/many/")]) == MANY
    many = f"/registry/{GROUP}/httproutes/many"

    async def going() -> None:
        await asyncio.sleep(0.5)
        await server.forget(f"{many}/r0", f"{many}/r1")

    # Objects that go while they are listed, page by page, are gone in the end.
    task = asyncio.create_task(going())
    async with Watched(server) as cluster:
        await task
        found = await until(cluster, lambda found: len(named(found, "many")) == MANY - 10_000)
        assert found.notes == ()
    await server.forget(f"{many}/", f"{many}0")

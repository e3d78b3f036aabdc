"""The control plane as an operator runs it: the real command, the real compiler, documents like the demo's."""

import asyncio
import datetime as dt
import ipaddress
import json
import logging
import re
import shutil
import signal
import ssl
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

import authorizer
from authorizer import cli, settings
from authorizer.app import feeds
from authorizer.bundle import Verifier, read
from authorizer.jose import jwk
from authorizer.jose.sign import generate, public_jwk

DOCUMENTS = Path(authorizer.__file__).parent / "demo/policies"


@pytest.fixture
def policies(tmp_path) -> Path:
    folder = tmp_path / "policies"
    shutil.copytree(DOCUMENTS, folder)
    (folder / "keys.json").write_text(json.dumps({"keys": [public_jwk(generate("ES256"), "ES256", "demo")]}))
    return folder


@pytest.fixture(autouse=True)
def logging_as_it_was():
    """Undo what the command does to the logging of its process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


class Plane:
    def __init__(self, url: str, state: Path, key_id: str, log: Path) -> None:
        self.url, self.state, self.key_id, self.log = url, state, key_id, log

    async def ask(self, method: str, path: str, *, role: str = "admin", ssl_context=True, **more):
        token = (self.state / f"{role}.token").read_text().strip()
        headers = {"authorization": f"Bearer {token}", **more.pop("headers", {})}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.url + path, headers=headers, ssl=ssl_context, **more) as got,
        ):
            body = await got.read()
            return got.status, got.headers, json.loads(body) if "json" in got.content_type else body


@asynccontextmanager
async def command(tmp_path: Path, *flags: str, number: int = signal.SIGTERM):
    log, state = tmp_path / "log", tmp_path / "state"
    with log.open("w") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "authorizer", "control-plane", "--state", state, "--listen", "127.0.0.1:0", *flags,
            stdout=asyncio.subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        ready = re.fullmatch(r"control plane ready at (\S+), signing with key (\S+)\n", line)
        assert ready, log.read_text()
        yield Plane(ready[1], state, ready[2], log)
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 10) == 0
        assert await process.stdout.read() == b""
        assert "Traceback" not in log.read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_from_documents_to_bundles_and_back_to_file_line_and_column(tmp_path, policies) -> None:
    async with command(tmp_path, "--policies", str(policies)) as plane:
        made = ["authorizer.token", "admin.token", "signing.pub.pem"]
        said, _, block = plane.log.read_text().partition("# for 'authorizer serve")
        assert [line.partition("made ")[2] for line in said.splitlines()[-3:]] == [
            str(plane.state / name) for name in made
        ]
        told = settings.load(block.partition("\n")[2].partition('{"')[0]).control_plane
        assert (told.url, told.token_file) == (plane.url, str(plane.state / "authorizer.token"))
        assert feeds.verifier(told).keys.keys() == {plane.key_id}
        key = jwk.read_pem((plane.state / "signing.pub.pem").read_bytes(), "ES256")
        etags = {}
        for kind in ("policy", "facts", "trust"):
            status, headers, data = await plane.ask("GET", f"/v1/bundles/{kind}", role="authorizer")
            assert status == 200
            etags[kind] = headers["etag"]
            assert read(data, kind=kind, verifier=Verifier(keys={plane.key_id: key})).kind == kind

        routes = [
            {"path": "/orders/export", "kind": "exact", "methods": ["GET"]},
            {"path": "/orders/", "kind": "prefix"},
            {"path": "/reports", "kind": "segments"},
        ]
        api = {"id": "shop", "name": "shop", "hosts": ["localhost:8080"], "routes": routes, "sources": ["envoy"]}
        _, _, body = await plane.ask("POST", "/v1/apis", role="authorizer", json=[api])
        assert body["unguarded"] == 1
        _, _, body = await plane.ask("GET", "/v1/apis")
        export, prefix, reports = body["apis"][0]["routes"]
        assert [row["guard"] for row in (export, prefix, reports)] == ["whole", "partial", "unguarded"]
        (guard,) = export["guards"]
        assert (guard["application"], guard["right"]) == ("orders", "export")
        assert {"own-tenant", "plan-has-feature", "sales-export"} <= set(guard["policies"])
        assert {row["right"] for row in prefix["guards"]} == {"read", "export"}

        known = {"if-none-match": etags["policy"], "prefer": "wait=20"}
        waiting = asyncio.create_task(plane.ask("GET", "/v1/bundles/policy", role="authorizer", headers=known))
        good = (policies / "orders.yaml").read_text()
        (policies / "orders.yaml").write_text(good.replace("right: orders/export", "right: orders/exprot"))
        line, text = next(pair for pair in enumerate(good.splitlines(), start=1) if "right: orders/export" in pair[1])
        where = ("orders.yaml", str(line), str(text.index("orders/export") + 1))
        for _ in range(60):
            _, _, body = await plane.ask("GET", "/v1/problems")
            if body["problems"]:
                break
            await asyncio.sleep(0.05)
        (problem,) = body["problems"]
        assert (problem["file"], str(problem["line"]), str(problem["column"])) == where
        metrics = (await plane.ask("GET", "/metrics"))[2].decode()
        code, (file, line, column) = problem["code"], where
        assert f'problem{{code="{code}",column="{column}",file="{file}",line="{line}"}} 1.0' in metrics
        logged = [json.loads(row) for row in plane.log.read_text().splitlines() if row.startswith("{")]
        assert any(row["level"] == "error" and f"{':'.join(where)}: error {code}" in row["message"] for row in logged)
        _, _, body = await plane.ask("POST", "/v1/status", role="authorizer", json={"labels": {"id": "a"}})
        assert body["problems"][0]["code"] == code
        assert not waiting.done()

        (policies / "orders.yaml").write_text(good.replace("sales-export", "sales-may-export"))
        status, headers, _ = await asyncio.wait_for(waiting, 10)
        assert (status, headers["etag"] != etags["policy"]) == (200, True)
        assert (await plane.ask("GET", "/v1/bundles/facts"))[1]["etag"] == etags["facts"]
    secrets = [(tmp_path / "state" / f"{role}.token").read_text().strip() for role in ("authorizer", "admin")]
    assert not any(secret in plane.log.read_text() for secret in secrets)


async def test_documents_by_the_api_and_a_restart(tmp_path, policies) -> None:
    async with command(tmp_path, "--key-id", "main", number=signal.SIGINT) as plane:
        assert plane.key_id == "main"
        for name in ("catalog.yaml", "facts.yaml"):
            status, _, body = await plane.ask("PUT", f"/v1/documents/{name}", data=(policies / name).read_bytes())
            assert status == 200, body
        status, _, body = await plane.ask("PUT", "/v1/documents/x.yaml", data=b"kind: Policies\npolices: []\n")
        assert status == 422
        assert {(row["file"], row["line"]) for row in body["problems"]} <= {("x.yaml", 1), ("x.yaml", 2)}
        before = (await plane.ask("GET", "/v1/status"))[2]["bundles"]
    own = ("--key", str(tmp_path / "state" / "signing.pem"))
    (tmp_path / "state" / "signing.pub.pem").write_text("of another key")
    async with command(tmp_path, "--key-id", "main", *own) as plane:
        assert f"made {plane.state / 'signing.pub.pem'}" in plane.log.read_text()
        assert jwk.read_pem((plane.state / "signing.pub.pem").read_bytes(), "ES256")
        assert (await plane.ask("GET", "/v1/status"))[2]["bundles"] == before


async def test_tls(tmp_path) -> None:
    pem = generate("ES256")
    key = load_pem_private_key(pem, None)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - dt.timedelta(1), now + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "key").write_bytes(pem)
    flags = ("--tls-certificate", str(tmp_path / "crt"), "--tls-key", str(tmp_path / "key"))
    async with command(tmp_path, *flags) as plane:
        assert plane.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(tmp_path / "crt"))
        assert (await plane.ask("GET", "/v1/status", ssl_context=context))[0] == 200


@pytest.mark.parametrize(
    ("flags", "status", "said"),
    [
        (["--listen", "nowhere"], 2, "HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], 2, "HOST:PORT"),
        (["--tls-key", "x"], 2, "go together"),
        (["--log-format", "xml"], 2, "json, text"),
        (["--key", "{tmp}/none.pem"], 69, "AZ584"),
        (["--key", "{tmp}/bad.pem"], 3, "AZ410"),
        (["--state", "{tmp}/bad.pem"], 69, "AZ584"),
        (["--admin-token-file", "{tmp}/bad.pem"], 69, "AZ583"),
        (["--tls-key", "{tmp}/none.pem", "--tls-certificate", "{tmp}/none.pem"], 69, "AZ712"),
        (["--listen", "192.0.2.1:1"], 69, "AZ711"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, capsys, flags: list[str], status: int, said: str) -> None:
    (tmp_path / "bad.pem").write_text("not a key")
    given = ["--state", str(tmp_path / "state"), "--listen", "127.0.0.1:0"]
    given += [flag.format(tmp=tmp_path) for flag in flags]
    try:
        ended = cli.main(["control-plane", *given])
    except SystemExit as leaving:
        ended = leaving.code
    assert ended == status
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_flags_may_come_from_the_environment(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("AUTHORIZER_CONTROL_PLANE_LISTEN", "nowhere")
    with pytest.raises(SystemExit):
        cli.main(["control-plane", "--state", str(tmp_path)])
    assert "'nowhere'" in capsys.readouterr().err

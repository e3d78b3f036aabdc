"""Asking the admin interface over real sockets, and the verb that prints what was found."""

import argparse
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from authorizer.cli import discover
from authorizer.discovery import admin
from authorizer.discovery.catalogue import discover_once
from authorizer.errors import DiscoveryError

DUMP = {
    "configs": [
        {
            "dynamic_route_configs": [
                {
                    "route_config": {
                        "name": "main",
                        "virtual_hosts": [
                            {
                                "name": "shop",
                                "domains": ["shop.example", "\x1b[31m"],
                                "routes": [{"match": {"prefix": "/orders"}, "route": {"cluster": "orders"}}],
                            }
                        ],
                    }
                }
            ]
        }
    ]
}


@contextlib.asynccontextmanager
async def gateway(*, unix: Path | None = None, **answer: object) -> AsyncIterator[str]:
    app = web.Application()

    async def config_dump(_: web.Request) -> web.Response:
        return web.Response(**answer)

    app.router.add_get("/config_dump", config_dump)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        if unix:
            await web.UnixSite(runner, str(unix)).start()
            yield f"unix:{unix}"
        else:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_catalogue_changes_only_with_the_gateway() -> None:
    async with gateway(text=json.dumps(DUMP)) as url:
        first, changed = await discover_once(url)
        assert changed
        assert [api.name for api in first.apis] == ["orders"]
        second, changed = await discover_once(url, first.digest)
        assert not changed
        assert second == first


async def test_a_unix_socket_is_read(tmp_path: Path) -> None:
    async with gateway(text=json.dumps(DUMP), unix=tmp_path / "admin.sock") as url:
        assert (await discover_once(url))[1]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"status": 503}, "AZ604"),
        ({"status": 302, "headers": {"location": "http://127.0.0.1:1/"}}, "AZ604"),
        ({"text": "no"}, "AZ602"),
        ({"text": "[]"}, "AZ602"),
        ({"body": b"[" * 3000}, "AZ602"),
        ({"body": b" " * 5000}, "AZ605"),
    ],
)
async def test_bad_answers_are_coded(answer: dict, code: str) -> None:
    async with gateway(**answer) as url:
        with pytest.raises(DiscoveryError) as caught:
            await admin.fetch(url, limit=4096)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "address",
    [
        *("http://10.0.0.1:9901", "https://127.0.0.1:9901", "http://127.0.0.1", "http://127.0.0.1:9901/x", "unix:", ""),
        *(
            "http://user@127.0.0.1:9901",
            "http://evil.example:9901",
            "http://127.0.0.1:9901?x",
            "http://[::1",
            "ftp://x",
        ),
    ],
)
async def test_other_hosts_are_not_asked(address: str) -> None:
    with pytest.raises(DiscoveryError, match="AZ601"):
        await admin.fetch(address)


async def test_a_dead_gateway_is_coded(tmp_path: Path) -> None:
    with pytest.raises(DiscoveryError, match="AZ604"):
        await admin.fetch(f"unix:{tmp_path}/none.sock")


def command(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    discover.add_parser(parser.add_subparsers())
    return parser.parse_args(["discover", *words])


def test_the_verb_prints_a_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dump.json"
    path.write_text(json.dumps(DUMP))
    args = command("--file", str(path))
    assert args.run(args) == 0
    table = capsys.readouterr().out
    assert table.splitlines()[1].split()[-3:] == ["*", "/orders*", "orders"]
    assert "\x1b" not in table
    assert "listener_unknown" in table
    args = command("--file", str(path), "--output", "json")
    assert args.run(args) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["version"] == 1
    assert printed["apis"][0]["routes"][0]["path"] == "/orders"


DESCRIBED = """
swagger: "2.0"
host: shop.example
basePath: /orders
paths: {"/{id}": {get: {operationId: getOrder}}, "/{a}-{b}": {get: {}}}
"""


def test_the_verb_shows_operations_of_apis_and_of_descriptions_alone(tmp_path, capsys) -> None:
    (tmp_path / "dump.json").write_text(json.dumps(DUMP))
    (tmp_path / "o.yaml").write_text(DESCRIBED)
    args = command("--file", str(tmp_path / "dump.json"), "--openapi", f"orders={tmp_path}/o.yaml", "--output", "json")
    assert args.run(args) == 0
    (api,) = json.loads(capsys.readouterr().out)["apis"]
    assert [(one["path"], one["flags"]) for one in api["operations"]] == [
        ("/orders/{id}", []),
        ("/orders/{a}-{b}", ["unwritable"]),
    ]
    args = command("--openapi", str(tmp_path / "o.yaml"))
    assert args.run(args) == 0
    printed = capsys.readouterr().out
    assert "operation getOrder" in printed
    assert "1 APIs, 0 routes, 2 operations" in printed


@pytest.mark.parametrize(
    ("words", "code"),
    [([], "AZ606"), (["--openapi", "http://127.0.0.1:1/o"], "AZ610"), (["--grpc", "127.0.0.1:1"], "AZ610"),
     (["--grpc", "a=127.0.0.1:1"], "AZ613"), (["--kong", "http://127.0.0.1:1"], "AZ611"),
     (["--traefik", "http://127.0.0.1:1"], "AZ611"), (["--openapi", "a=http://127.0.0.1:1/o"], "AZ611")],
)  # fmt: skip
def test_what_cannot_be_asked_is_coded(words, code) -> None:
    args = command(*words)
    with pytest.raises(DiscoveryError, match=code):
        args.run(args)


def test_an_unreadable_file_is_coded(tmp_path: Path) -> None:
    args = command("--file", str(tmp_path / "none"))
    with pytest.raises(DiscoveryError, match="AZ606"):
        args.run(args)


OTHERS = {
    "--manifests": (
        "a.yaml",
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec: {hosts: [h.example], odd: 1}\n",
    ),
    "--kong": ("kong.yaml", "services: [{name: h.example, routes: [{odd: 1}]}]"),
    "--traefik": ("t.toml", '[http.routers.r]\nrule = "Host(`h.example`) &&"\nservice = "h.example"\n'),
}


@pytest.mark.parametrize("option", OTHERS)
def test_the_verb_reads_others_and_prints_what_it_could_not_tell(option, tmp_path, capsys) -> None:
    name, text = OTHERS[option]
    (tmp_path / name).write_text(text)
    args = command(option, str(tmp_path / name))
    assert args.run(args) == 0
    printed = capsys.readouterr().out
    assert "h.example" in printed
    assert "note: " in printed
    args = command(option, str(tmp_path / name), "--output", "json")
    assert args.run(args) == 0
    assert json.loads(capsys.readouterr().out)["notes"]
    (tmp_path / name).write_text("[" * 5000)
    with pytest.raises(DiscoveryError, match="AZ606"):
        args.run(args)

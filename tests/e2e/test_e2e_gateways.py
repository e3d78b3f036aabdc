"""One list of requests through every gateway: the same decision, whoever asks."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from authorizer.demo.processes import Children
from authorizer.gateways.checks import CHECKS
from authorizer.gateways.findings import Expected
from authorizer.gateways.kinds import KINDS
from authorizer.reasons import REASONS, authored
from tests import leaks
from tests.e2e.shop import shop
from tests.e2e.world import (
    Api,
    Doors,
    Reply,
    caddy,
    haproxy,
    marked,
    needed,
    nginx,
    open_doors,
    send,
    site,
    start,
    written,
)

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases" / "gateways.yaml").read_text())["cases"]


GATEWAYS = marked("envoy", "envoy-http", "envoy-printed", "nginx", "caddy", "haproxy", "traefik")


@pytest.mark.parametrize("name", GATEWAYS)
async def test_every_gateway_gets_the_same_decisions(name: str, children: Children, api: Api, tmp_path: Path) -> None:
    authorizer, tokens = shop(tmp_path)
    wrong = []
    async with open_doors(authorizer) as doors:
        url = await start(name, children, tmp_path, doors.grpc, doors.http, api.address)
        for case in CASES:
            doors.decisions.clear()
            api.seen.clear()
            headers = [("Authorization", f"Bearer {tokens[case['as']]}")] if "as" in case else []
            headers += [(key, value) for key, value in case.get("headers", ())]
            reply = await send(
                url, case.get("method", "GET"), case["target"], headers, host=case.get("host", "localhost")
            )
            wrong += [f"{case['name']}: {what}" for what in differences(name, case, reply, doors, api)]
    assert not wrong, "\n".join(wrong)


# Not Traefik: it goes on in HTTP/2 itself, and asks about each request in it.
@pytest.mark.parametrize("name", marked("envoy", "envoy-http", "envoy-printed", "nginx", "caddy", "haproxy"))
@pytest.mark.parametrize("upgrade", [["h2c"], ["websocket, h2c"], ["websocket", "h2c"]])
async def test_no_api_is_asked_to_go_on_in_http2_past_the_gateway(
    name: str, upgrade: list[str], children: Children, api: Api, tmp_path: Path
) -> None:
    authorizer, tokens = shop(tmp_path)
    async with open_doors(authorizer) as doors:
        url = await start(name, children, tmp_path, doors.grpc, doors.http, api.address)
        headers = [("Authorization", f"Bearer {tokens['alice']}"), ("Connection", "Upgrade, HTTP2-Settings")]
        headers += [("HTTP2-Settings", "AAMAAABkAAQAAP__"), *(("Upgrade", value) for value in upgrade)]
        await send(url, "GET", "/orders/17", headers, host="localhost")
    assert [seen["upgrade"] for _, _, seen in api.seen if "h2c" in seen.get("upgrade", "").lower()] == []


@pytest.mark.interop
@pytest.mark.parametrize(
    ("connection", "upgraded"), [(["Upgrade"], True), (["keep-alive", "x-a,uPgRaDe"], True), (["x-upgrade"], False)]
)
async def test_caddy_lets_upgrades_pass_and_nothing_else_of_connection(
    connection: list[str], upgraded: bool, children: Children, api: Api, tmp_path: Path
) -> None:
    authorizer, tokens = shop(tmp_path)
    async with open_doors(authorizer) as doors:
        url = await caddy(children, tmp_path, doors.http, api.address)
        headers = [("Authorization", f"Bearer {tokens['alice']}"), ("Upgrade", "x"), ("X-A", "a"), ("X-Upgrade", "b")]
        headers += [("Connection", value) for value in connection]
        await send(url, "GET", "/orders/17", headers, host="localhost")
    ((_, _, seen),) = api.seen
    assert (seen.get("upgrade") == "x") is upgraded
    assert (seen["x-a"], seen["x-upgrade"], seen["x-auth-subject"]) == ("a", "b", "alice")


def differences(name: str, case: Mapping[str, Any], reply: Reply, doors: Doors, api: Api) -> list[str]:
    """Say in which ways the answer is not the expected one."""
    if name in case.get("alone", ()):
        asked = [f"asked: {doors.decisions[0].reason.code}"] if doors.decisions else []
        return asked if 400 <= reply.status < 500 and not api.seen else [*asked, f"answered {reply.status}"]
    expected = case.get("told", {}).get(name, case["reason"])
    status = 200 if expected == "allowed" else REASONS.get(expected, authored(expected)).status
    wrong = []
    if [decision.reason.code for decision in doors.decisions] != [expected]:
        wrong.append(f"decided {[decision.reason.code for decision in doors.decisions]}, not {expected}")
    if reply.status != status:
        wrong.append(f"answered {reply.status}, not {status}")
    if (reply.status == 401) != ("www-authenticate" in reply.headers):
        wrong.append("a 401 and a challenge go together")
    if len(api.seen) != (expected == "allowed"):
        wrong.append(f"the API saw {len(api.seen)} requests")
    elif api.seen:
        method, target, headers = api.seen[0]
        if (method, target) != (case.get("method", "GET"), case.get("cleaned", {}).get(name, case["target"])):
            wrong.append(f"the API saw {method} {target}")
        for header, value in case.get("upstream", {}).items():
            if (headers.get(header) or None) != value:
                wrong.append(f"the API saw {header}: {headers.get(header)!r}")
    return wrong


@pytest.mark.interop
async def test_what_a_running_gateway_says_of_its_configuration_is_safe(tmp_path: Path) -> None:
    made = site("127.0.0.1:9192", "127.0.0.1:8081")
    expected = Expected(identity=made.identity)
    written(tmp_path, KINDS["nginx"](made) | KINDS["caddy"](made))
    nginx_says = (needed("nginx"), "-p", tmp_path, "-e", "stderr", "-c", tmp_path / "nginx.conf", "-T")
    caddy_says = (needed("caddy"), "adapt", "--config", tmp_path / "Caddyfile", "--adapter", "caddyfile")
    for kind, command in (("nginx", nginx_says), ("caddy", caddy_says)):
        process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)
        out, errors = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0, errors
        assert CHECKS[kind]([("it", out.decode())], expected) == []
        assert CHECKS[kind]([("it", out.decode())], Expected(identity=("x-other",))) != []


@pytest.mark.interop
@pytest.mark.parametrize("gateway", [nginx, caddy, haproxy])
async def test_gateways_show_the_secret_and_a_client_cannot(
    gateway: Callable[..., Awaitable[str]], children: Children, api: Api, tmp_path: Path
) -> None:
    authorizer, tokens = shop(tmp_path)
    secret = leaks.secret("one-that-nobody-guesses")
    headers = [("Authorization", f"Bearer {tokens['alice']}"), ("X-Authorizer-Secret", "a-clients-own-secret")]
    for number, (shown, status) in enumerate([(secret, 200), ("another-that-is-wrong", 403)]):
        home = tmp_path / str(number)
        home.mkdir()
        async with open_doors(authorizer, secret) as doors:
            url = await gateway(children, home, doors.http, api.address, shown)
            assert (await send(url, "GET", "/orders/17", headers, host="localhost")).status == status
    assert len(api.seen) == 1

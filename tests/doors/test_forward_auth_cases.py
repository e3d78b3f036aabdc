"""Every bad input of tests/cases/bad_input.yaml reaches the decision as it was sent, or is a denial at the door.

What the decision then says is the same as for the gRPC door, because it is asked the same question.
"""

import asyncio
from pathlib import Path

import pytest
import yaml

from authorizer.doors.forward_auth import ForwardAuth
from authorizer.doors.forward_auth_peers import trust
from authorizer.doors.http1 import open_http
from authorizer.model import Decision
from authorizer.reasons import ALLOWED
from authorizer.service import Authorizer

TABLE = yaml.safe_load((Path(__file__).parents[1] / "cases" / "bad_input.yaml").read_text())
CASES = [TABLE["defaults"] | case for case in TABLE["cases"] if case.get("http", True)]


def octets(text) -> bytes:
    return ("".join(part * times for part, times in text) if isinstance(text, list) else text).encode("latin-1")


def wire(text) -> str:
    return octets(text).decode("utf-8", "surrogateescape")


def lines(pairs) -> bytes:
    return b"".join(octets(name) + b": " + octets(value) + b"\r\n" for name, value in pairs)


class Recorder(Authorizer):
    def __init__(self):
        super().__init__()
        self.asked = []

    def check(self, request):
        self.asked.append(request)
        return Decision(reason=ALLOWED, allowed=True)


async def ask(data: bytes):
    """Send one call; return what the Authorizer was asked, if it was, and the status of the answer."""
    recorder = Recorder()
    door = ForwardAuth(recorder, trust(["127.0.0.1"]))
    opened = await open_http("127.0.0.1:0", door.handle, door.malformed)
    try:
        reader, writer = await asyncio.open_connection(*opened.address.split(":"))
        writer.write(data)
        async with asyncio.timeout(30):
            top = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return (recorder.asked or [None])[0], int(top.split()[1])
    finally:
        await opened.close(1.0)


def expected(case):
    headers = {}
    for name, value in case["headers"]:
        headers[wire(name).lower()] = (*headers.get(wire(name).lower(), ()), wire(value))
    return wire(case["method"]), wire(case["target"]), wire(case["host"]), headers


@pytest.mark.parametrize("profile", ["traefik", "caddy", "nginx"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['row']}-{case['name']}")
async def test_told_in_headers(profile, case):
    prefix, target = (b"X-Original-", b"URI") if profile == "nginx" else (b"X-Forwarded-", b"Uri")
    told = {b"Method": "method", target: "target", b"Host": "host", b"Proto": "scheme"}
    head = b"".join(prefix + name + b": " + octets(case[key]) + b"\r\n" for name, key in told.items())
    call = b"GET /authz/%b HTTP/1.1\r\nHost: door\r\n%b%b\r\n" % (profile.encode(), head, lines(case["headers"]))
    request, status = await ask(call)
    assert status == 200
    assert (request.method, request.target, request.host, request.headers) == expected(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['row']}-{case['name']}")
async def test_told_in_the_request_line(case):
    target = octets(case["target"])
    line = octets(case["method"]) + b" /authz/envoy" + target + b" HTTP/1.1\r\nHost: " + octets(case["host"]) + b"\r\n"
    request, status = await ask(line + lines(case["headers"]) + b"\r\n")
    if request is None:
        assert status == 403
        assert case["reason"] != "allowed"
    else:
        assert (request.method, request.target, request.host, request.headers) == expected(case)

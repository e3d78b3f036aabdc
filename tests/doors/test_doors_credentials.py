"""Every kind of credential through every door: the same status, challenge and reason, for what is right and wrong."""

import asyncio
import json
import time

import pytest
from grpc import aio

from authorizer.doors import grpcio, native
from authorizer.doors.forward_auth import ForwardAuth
from authorizer.doors.forward_auth_peers import trust
from authorizer.doors.forward_auth_profiles import PROFILES
from authorizer.doors.http1 import open_http
from authorizer.doors.wire.ext_authz_pb2 import CheckRequest, CheckResponse
from authorizer.reasons import REASONS
from tests.doors.native_world import CHECK
from tests.forge.world import CASES, HOST, world


@pytest.fixture
def made():
    return world(time.time())


def expected(case):
    return case["name"], REASONS[case["reason"]].status, case["reason"], case.get("challenge", "")


def check_request(made, case, number) -> bytes:
    message = CheckRequest()
    http = message.attributes.request.http
    http.method, http.path, http.host, http.scheme = "GET", case.get("target", "/read"), HOST, "https"
    for name, value in made.headers(case, number):
        http.header_map.headers.add(key=name, raw_value=value.encode())
    if "shows" in case:
        message.attributes.source.certificate = made.escaped(case["shows"])
    return message.SerializeToString()


@pytest.mark.parametrize("engine", [native, grpcio], ids=["native", "grpcio"])
async def test_the_grpc_doors(engine, made):
    door = await engine.start(made.authorizer("source", ""), "127.0.0.1:0")
    found = []
    async with aio.insecure_channel(door.address) as channel:
        for number, case in enumerate(CASES):
            data = await channel.unary_unary(CHECK)(check_request(made, case, number), timeout=10)
            answer = CheckResponse.FromString(data)
            denied = answer.denied_response
            headers = {option.header.key: option.header.value for option in denied.headers}
            reason = answer.dynamic_metadata.fields["reason"].string_value
            assert (answer.status.code == 0) is (reason == "allowed")
            found.append((case["name"], denied.status.code or 200, reason, headers.get("www-authenticate", "")))
    await door.close(0)
    assert found == [expected(case) for case in CASES]


HEADERS = {"pem": "x-client-cert", "xfcc": "x-forwarded-client-cert", "client-cert": "client-cert"}


@pytest.mark.parametrize(
    ("name", "form"), [*((name, "pem") for name in PROFILES), ("traefik", "xfcc"), ("traefik", "client-cert")]
)
async def test_the_http_door(name, form, made):
    profile, header = PROFILES[name], HEADERS[form]
    door = ForwardAuth(made.authorizer(form, header), trust(["127.0.0.1"]))
    opened = await open_http("127.0.0.1:0", door.handle, door.malformed)
    reader, writer = await asyncio.open_connection(*opened.address.split(":"))
    found = []
    for number, case in enumerate(CASES):
        lines = made.headers(case, number)
        lines += [(header, made.told(case["shows"], form))] if "shows" in case else []
        target = case.get("target", "/read")
        said = {profile.method: "GET", profile.target: target, profile.host: HOST, profile.scheme: "https"}
        told = f"GET /authz/{name}{'' if profile.target else target} HTTP/1.1\r\nHost: {HOST}\r\n"
        told += "".join(f"{carrier}: {value}\r\n" for carrier, value in said.items() if carrier)
        writer.write((told + "".join(f"{name}: {value}\r\n" for name, value in lines) + "\r\n").encode())
        async with asyncio.timeout(10):
            top, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in fields)}
            body = await reader.readexactly(int(headers["content-length"]))
        reason = json.loads(body)["reason"] if body else "allowed"
        found.append((case["name"], int(top.split()[1]), reason, headers.get("www-authenticate", "")))
    writer.close()
    await opened.close(1.0)
    wanted = [expected(case) for case in CASES]
    obeyed = profile.statuses | {200}
    assert found == [(told, status if status in obeyed else 403, *more) for told, status, *more in wanted]

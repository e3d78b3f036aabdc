"""The forward-auth door over real sockets: bodies, and how long a connection lives."""

import asyncio

import pytest

from authorizer.doors.forward_auth import MAX_BODY
from tests.doors.forward_auth_client import (
    CALLS,
    FORWARDED,
    ORIGINAL,
    read_reply,
)


@pytest.mark.parametrize(
    ("profile", "headers", "body", "expected"),
    [
        ("envoy", {}, b"", (b"", "unknown")),
        ("nginx", {}, b"", (b"", "unknown")),
        ("traefik", {}, b"", (b"", "unknown")),
        ("envoy", {"X-Envoy-Auth-Partial-Body": "false"}, b"{}", (b"{}", "complete")),
        ("envoy", {"X-Envoy-Auth-Partial-Body": "true"}, b"{", (b"{", "partial")),
        ("envoy", {"X-Envoy-Auth-Partial-Body": "no"}, b"{", (b"{", "partial")),
        ("envoy", {"X-Envoy-Auth-Partial-Body": "true"}, b"", (b"", "partial")),
        ("traefik", {"X-Envoy-Auth-Partial-Body": "true"}, b"{}", (b"{}", "complete")),
        ("traefik", {"Content-Encoding": "gzip"}, b"not gzip", (b"not gzip", "complete")),
        ("traefik", {}, b"x" * (MAX_BODY + 1), (b"x" * MAX_BODY, "partial")),
    ],
)
async def test_a_body_is_read_where_the_gateway_sends_one(client, profile, headers, body, expected):
    target, own = CALLS[profile]
    assert (await client.call(target, {**own, **headers}, body=body, method="POST")).status == 200
    assert (client.fake.asked[0].body, client.fake.asked[0].body_state) == expected


async def test_a_chunked_body_is_read(client):
    chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    head = b"POST /authz/envoy/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert (await client.raw(head + chunks)).status == 200
    assert (client.fake.asked[0].body, client.fake.asked[0].body_state) == (b"abcde", "complete")


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_trailer_is_no_header_of_the_next_request(client, at_once):
    first = b"POST /authz/envoy/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
    then = b"GET /authz/envoy/y HTTP/1.1\r\nHost: a\r\n\r\n"
    reader, writer = await client.connect()
    writer.write(first + then if at_once else first)
    async with asyncio.timeout(30):
        answered = await reader.read()  # up to the end of the connection
    assert answered.count(b"HTTP/1.1 ") == 1
    assert [(asked.target, "authorization" in asked.headers) for asked in client.fake.asked] == [("/x", False)]
    writer.close()


@pytest.mark.parametrize("profile", ["envoy", "traefik"])
async def test_a_body_that_does_not_come_is_not_waited_for_long(client, profile, monkeypatch):
    monkeypatch.setattr("authorizer.doors.forward_auth.BODY_SECONDS", 0.05)
    target, headers = CALLS[profile]
    reply = await client.call(target, {**headers, "Content-Length": "5"}, method="POST")
    assert (reply.closed, client.fake.asked[0].body_state) == (True, "partial")


@pytest.mark.parametrize("profile", ["nginx", "caddy"])
async def test_a_body_that_cannot_come_is_not_waited_for_and_the_connection_is_not_reused(client, profile, monkeypatch):
    monkeypatch.setattr("authorizer.doors.forward_auth.BODY_SECONDS", 3600)
    target, headers = CALLS[profile]
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    first = f"GET {target} HTTP/1.1\r\nHost: a\r\n{head}Content-Length: 30\r\n\r\n".encode()
    reader, writer = await client.connect()
    writer.write(first)
    async with asyncio.timeout(30):
        reply = await read_reply(reader)
    assert (reply.status, reply.closed) == (200, True)
    writer.write(first)  # 30 bytes of this would be taken for the body, and the rest for a request
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    writer.close()
    assert len(client.fake.asked) == 1


async def test_connections_are_reused_until_the_door_drains(client):
    reader, writer = await client.connect()
    for draining in (False, False, True):
        client.forward_auth.draining = draining
        writer.write(b"GET /authz/envoy/x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await read_reply(reader)).closed is draining
    assert await reader.read() == b""
    writer.close()


async def test_http_1_0_as_nginx_speaks_it(client):
    head = "".join(f"{name}: {value}\r\n" for name, value in ORIGINAL.items()).encode()
    reply = await client.raw(b"GET /authz/nginx HTTP/1.0\r\nHost: a\r\n" + head + b"Connection: keep-alive\r\n\r\n")
    assert (reply.status, reply.header("connection")) == (200, "keep-alive")
    assert (await client.raw(b"GET /authz/nginx HTTP/1.0\r\nHost: a\r\n" + head + b"\r\n")).closed


async def test_a_header_of_60_kib_passes(client):
    assert (await client.call("/authz/envoy/x", {"Cookie": "c" * 60_000})).status == 200
    assert (await client.call("/authz/traefik", {**FORWARDED, "X-Forwarded-Uri": "/" + "p" * 60_000})).status == 200
    assert (await client.call("/authz/envoy/" + "p" * 60_000)).status == 200


SMUGGLING = {
    "obs-fold": b"GET /authz/envoy/x HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n",
    "length and chunks": b"POST /authz/envoy/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /authz/envoy/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "one length twice": b"POST /authz/envoy/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "length list": b"POST /authz/envoy/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx",
    "signed length": b"POST /authz/envoy/x HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
    "chunks not last": b"POST /authz/envoy/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, x\r\n\r\n",
    "chunks in 1.0": b"POST /authz/envoy/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "NUL": b"GET /authz/envoy/x HTTP/1.1\r\nHost: a\r\nA: b\x00c\r\n\r\n",
    "space before colon": b"GET /authz/envoy/x HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
    "bare CR": b"GET /authz/envoy/x HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n",
    "bare LF": b"GET /authz/envoy/x HTTP/1.1\nHost: a\n\n",
    "two hosts": b"GET /authz/envoy/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no host": b"GET /authz/envoy/x HTTP/1.1\r\n\r\n",
    "bad method": b"GE(T /authz/envoy/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "bad name": b"GET /authz/envoy/x HTTP/1.1\r\nHost: a\r\nA(b: c\r\n\r\n",
    "raw byte in the target": b"GET /authz/envoy/\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "huge header": b"GET /authz/envoy/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + b"s" * 200_000 + b"\r\n\r\n",
    "many headers": b"GET /authz/envoy/x HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 300 + b"\r\n",
}


@pytest.mark.parametrize("data", SMUGGLING.values(), ids=SMUGGLING)
async def test_what_two_parsers_could_read_differently_is_refused(client, data, caplog):
    reply = await client.raw(data)
    assert (reply.status, reply.reason, reply.closed) == (403, "bad_check", True)
    assert client.fake.asked == []
    assert [decision.reason.code for _, decision in client.fake.refused] == ["bad_check"]
    assert b"sss" not in reply.body
    assert "sss" not in caplog.text

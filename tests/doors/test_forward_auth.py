"""The forward-auth door over real sockets: who is believed, what is read, which answers each gateway gets."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

import pytest

from authorizer.doors.forward_auth import MAX_BODY, ForwardAuth
from authorizer.doors.forward_auth_peers import trust
from authorizer.doors.http1 import open_http
from authorizer.model import Decision, Missing, Request, StepUp
from authorizer.reasons import ALLOWED, REASONS, authored, reason

LOOPBACK = ("127.0.0.0/8", "::1/128")
SECRET = "correct horse battery staple"
FORWARDED = {
    "X-Forwarded-Method": "GET",
    "X-Forwarded-Uri": "/orders/17?x=1",
    "X-Forwarded-Host": "api.example.com",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "203.0.113.9, 192.0.2.7",
}
ORIGINAL = {
    "X-Original-Method": "GET",
    "X-Original-Uri": "/orders/17?x=1",
    "X-Original-Host": "api.example.com",
    "X-Original-Proto": "https",
    "X-Forwarded-For": "192.0.2.7",
}
CALLS = {
    "envoy": ("/authz/envoy/orders/17?x=1", {}),
    "traefik": ("/authz/traefik", FORWARDED),
    "caddy": ("/authz/caddy?x=1", FORWARDED),
    "nginx": ("/authz/nginx", ORIGINAL),
}


@dataclass
class Fake:
    """Decides as told and remembers what it was asked."""

    decision: Decision | Exception = field(default_factory=lambda: Decision(reason=ALLOWED, allowed=True))
    asked: list[Request] = field(default_factory=list)
    refused: list[tuple[Request, Decision]] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    def refuse(self, code: str, request: Request, detail: str = "") -> Decision:
        decision = Decision(reason=reason(code), id="refused-1")
        self.refused.append((request, decision))
        self.details.append(detail)
        return decision

    def check(self, request: Request) -> Decision:
        self.asked.append(request)
        if isinstance(self.decision, Exception):
            raise self.decision
        return self.decision


@dataclass
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    closed: bool

    @property
    def reason(self) -> str:
        return json.loads(self.body)["reason"]

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


class Client:
    def __init__(self, address: str, forward_auth: ForwardAuth, fake: Fake):
        self.address, self.forward_auth, self.fake = address, forward_auth, fake

    async def connect(self):
        if self.address.startswith("unix:"):
            return await asyncio.open_unix_connection(self.address.removeprefix("unix:"))
        host, _, port = self.address.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def raw(self, data: bytes, *, head: bool = False) -> Reply:
        reader, writer = await self.connect()
        try:
            writer.write(data)
            return await read_reply(reader, head=head)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def call(self, target: str, headers=(), *, method="GET", host="door", body=b"") -> Reply:
        lines = headers.items() if isinstance(headers, dict) else headers
        text = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in lines)
        if body:
            text += f"Content-Length: {len(body)}\r\n"
        return await self.raw(text.encode("utf-8", "surrogateescape") + b"\r\n" + body, head=method == "HEAD")


async def read_reply(reader: asyncio.StreamReader, *, head: bool = False) -> Reply:
    async with asyncio.timeout(30):
        top = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = [tuple(line.split(": ", 1)) for line in top[1:-2]]
        length = int(dict(headers)["content-length"])
        body = b"" if head else await reader.readexactly(length)
        closed = dict(headers).get("connection") == "close"
    return Reply(int(top[0].split()[1]), headers, body, closed)


@contextlib.asynccontextmanager
async def door(fake: Fake, *, networks=LOOPBACK, secrets=(), address="127.0.0.1:0", hops=1):
    handler = ForwardAuth(fake, trust(networks, secrets), hops=hops)
    opened = await open_http(address, handler.handle, handler.malformed)
    try:
        yield Client(opened.address, handler, fake)
    finally:
        await opened.close(1.0)


@pytest.fixture
async def client():
    async with door(Fake()) as opened:
        yield opened


def denied(code: str, **fields) -> Decision:
    why = reason(code) if code in REASONS else authored(code)
    return Decision(reason=why, id="id-1", **fields)


# What is read


@pytest.mark.parametrize("profile", CALLS)
async def test_each_profile_reads_its_own_headers(client, profile):
    target, headers = CALLS[profile]
    reply = await client.call(target, {**headers, "Authorization": "Bearer t"}, host="api.example.com")
    assert reply.status == 200
    (request,) = client.fake.asked
    assert (request.method, request.target, request.host) == ("GET", "/orders/17?x=1", "api.example.com")
    assert request.transport == "http"
    assert request.headers == {"authorization": ("Bearer t",)}
    told = profile != "envoy"
    assert (request.scheme, request.peer) == (("https", "192.0.2.7") if told else ("", ""))


@pytest.mark.parametrize("profile", ["traefik", "caddy", "nginx"])
@pytest.mark.parametrize("part", ["method", "uri", "host", "proto"])
async def test_a_missing_header_is_a_denial_and_not_a_guess(client, profile, part):
    target, headers = CALLS[profile]
    reply = await client.call(target, {n: v for n, v in headers.items() if not n.lower().endswith(part)})
    assert (reply.status, reply.reason) == (403, "forwarded_missing")
    assert client.fake.asked == []
    (detail,) = client.fake.details
    assert detail.startswith("the gateway did not send: x-")
    assert detail.endswith(part)


@pytest.mark.parametrize("profile", ["traefik", "caddy", "nginx"])
@pytest.mark.parametrize("part", ["method", "uri", "host", "proto"])
@pytest.mark.parametrize("spelling", ["repeat", "underscore"])
async def test_a_repeat_and_an_underscore_twin_are_denials(client, profile, part, spelling):
    target, headers = CALLS[profile]
    name = next(n for n in headers if n.lower().endswith(part))
    twin = name.replace("-", "_") if spelling == "underscore" else name
    reply = await client.call(target, [*headers.items(), (twin, headers[name])])
    assert (reply.status, reply.reason) == (403, "forwarded_ambiguous")


@pytest.mark.parametrize("twin", ["X-Forwarded_Uri", "x_forwarded-uri", "X_FORWARDED_FOR"])
async def test_mixed_spellings_are_twins_too(client, twin):
    reply = await client.call("/authz/traefik", {**FORWARDED, twin: "/public"})
    assert reply.reason == "forwarded_ambiguous"


@pytest.mark.parametrize(
    ("uri", "passes"),
    [
        ("/a,/b", False), ("/a, /b", False), ("/a,\t/b", False), ("/a,b", True),
        ("/a?x=1,/b", False), ("/a?x=1, /b?y", False),
        ("/a?ids=1,2", True), ("/a?x=", True),
    ],
)  # fmt: skip
async def test_a_joined_target_is_a_denial(client, uri, passes):
    reply = await client.call("/authz/traefik", {**FORWARDED, "X-Forwarded-Uri": uri})
    assert (reply.status == 200) is passes
    assert passes or reply.reason == "forwarded_ambiguous"


@pytest.mark.parametrize(
    "target", ["/orders/../admin", "/a%2f..%2fb", "//evil/x", "/%zz", "/a;b=c/d", "/x#y", "/a?b=%2e%2e"]
)
async def test_the_target_is_handed_on_as_sent(client, target):
    await client.call("/authz/envoy" + target)
    await client.call("/authz/traefik", {**FORWARDED, "X-Forwarded-Uri": target})
    assert [request.target for request in client.fake.asked] == [target, target]


@pytest.mark.parametrize("profile", ["traefik", "caddy", "nginx"])
async def test_headers_of_another_contract_are_the_clients_own_word(client, profile):
    target, headers = CALLS[profile]
    foreign = dict.fromkeys(("X-Original-Url", "X-Rewrite-Url", "X-Envoy-Original-Path"), "/admin")
    other = {n: "evil" for n in (ORIGINAL if profile != "nginx" else FORWARDED) if n not in headers}
    await client.call(target, {**headers, **foreign, **other})
    assert client.fake.asked[0].target == "/orders/17?x=1"
    assert client.fake.asked[0].host == "api.example.com"


async def test_envoy_reads_the_request_line_whatever_is_forwarded(client):
    await client.call("/authz/envoy/real", {**FORWARDED, **ORIGINAL, "X-Envoy-Original-Path": "/x"}, host="api")
    (request,) = client.fake.asked
    assert (request.method, request.target, request.host, request.scheme, request.peer) == (
        "GET",
        "/real",
        "api",
        "",
        "",
    )


@pytest.mark.parametrize(
    ("chain", "hops", "peer"),
    [
        (["1.1.1.1, 2.2.2.2"], 1, "2.2.2.2"),
        (["1.1.1.1, 2.2.2.2"], 2, "1.1.1.1"),
        (["1.1.1.1", "2.2.2.2"], 1, "2.2.2.2"),
        (["1.1.1.1"], 2, ""),
        (["1.1.1.1, unknown"], 1, ""),
        (["2001:DB8::1"], 1, "2001:db8::1"),
        (["fe80::1%eth0"], 1, ""),
        (["1.1.1.1:80"], 1, ""),
        (["1.1.1.1,"], 1, ""),
        ([], 1, ""),
    ],
)
async def test_the_client_address_is_counted_from_the_right(chain, hops, peer):
    headers = [(n, v) for n, v in FORWARDED.items() if n != "X-Forwarded-For"]
    async with door(Fake(), hops=hops) as client:
        await client.call("/authz/traefik", [*headers, *(("X-Forwarded-For", line) for line in chain)])
        assert client.fake.asked[0].peer == peer


async def test_repeats_and_odd_bytes_reach_the_decision_as_sent(client):
    await client.call("/authz/envoy/", [("Cookie", "a=1"), ("cookie", "b=2"), ("X-Odd", "\udcff\udcfe"), ("X-U", "é")])
    headers = client.fake.asked[0].headers
    assert headers == {"cookie": ("a=1", "b=2"), "x-odd": ("\udcff\udcfe",), "x-u": ("é",)}


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "QUERY", "PUT", "DELETE", "PATCH", "POST", "PROPFIND"])
async def test_every_method_is_asked_about(client, method):
    reply = await client.call("/authz/envoy/orders", method=method)
    assert (reply.status, reply.body) == (200, b"")
    assert client.fake.asked[0].method == method


@pytest.mark.parametrize(
    "target",
    ["/", "/authz", "/authz/", "/authz/zuul", "/authz/traefik/x", "/authz/nginx/../envoy/x", "/AUTHZ/envoy/", "*",
     "/authz/envoyx/", "http://door/authz/envoy/x", "//authz/envoy/"],
)  # fmt: skip
async def test_what_is_no_profile_is_denied(client, target):
    reply = await client.call(target, FORWARDED, method="OPTIONS")
    assert (reply.status, reply.reason, client.fake.asked) == (403, "forwarded_missing", [])
    assert client.fake.details[0].startswith("no gateway has this address")


@pytest.mark.parametrize("target", ["door:80", "/authz/envoy/x"])
async def test_connect_is_denied_and_ends_the_connection(client, target):
    reply = await client.call(target, method="CONNECT")
    assert (reply.status, reply.closed, client.fake.asked) == (403, True, [])


# Who is believed


@pytest.mark.parametrize(
    ("networks", "secrets", "shown", "trusted"),
    [
        (LOOPBACK, (), (), True),
        (("127.0.0.1",), (), (), True),
        ((), (), (), False),
        (("10.0.0.0/8", "2001:db8::/32"), (), (), False),
        ((), (), (SECRET,), False),
        ((), (SECRET,), (SECRET,), True),
        ((), ("the previous secret of us", SECRET), (SECRET,), True),
        ((), (SECRET,), (SECRET + "x",), False),
        ((), (SECRET,), ("",), False),
        ((), (SECRET,), (SECRET, SECRET), False),
    ],
)
@pytest.mark.parametrize("profile", CALLS)
async def test_only_trusted_peers_are_believed(profile, networks, secrets, shown, trusted):
    target, headers = CALLS[profile]
    async with door(Fake(), networks=networks, secrets=secrets) as client:
        reply = await client.call(target, [*headers.items(), *(("X-Authorizer-Secret", secret) for secret in shown)])
        assert (reply.status == 200) is trusted
        if trusted:
            assert "x-authorizer-secret" not in client.fake.asked[0].headers
        else:
            assert (reply.reason, reply.closed, client.fake.asked) == ("peer_untrusted", True, [])
            ((request, decision),) = client.fake.refused
            assert (request.peer, decision.reason.code) == ("127.0.0.1", "peer_untrusted")
            assert decision.id == json.loads(reply.body)["decision_id"]


async def test_a_unix_socket_is_trusted_by_its_file_mode(tmp_path):
    path = tmp_path / "door.sock"
    async with door(Fake(), networks=(), address=f"unix:{path}") as client:
        assert (await client.call("/authz/envoy/x")).status == 200
        assert path.stat().st_mode & 0o777 == 0o660
    assert not path.exists()


# What is answered


@pytest.mark.parametrize("profile", CALLS)
async def test_an_allow_carries_only_headers_for_the_api(profile):
    target, headers = CALLS[profile]
    decision = Decision(
        reason=ALLOWED, allowed=True, id="id-1", upstream=(("X-Auth-Subject", "alice é"),), remove=("x-auth-client",)
    )
    async with door(Fake(decision)) as client:
        reply = await client.call(target, headers)
    expected = [("content-length", "0"), ("x-auth-subject", "alice é")]
    if profile == "envoy":
        removed = "x-auth-client, x_auth_subject, x_auth_client"
        expected.append(("x-envoy-auth-headers-to-remove", removed))
    if profile == "caddy":
        expected.append(("x-auth-client", ""))
    assert (reply.status, reply.headers, reply.body) == (200, expected, b"")


DENIALS = [
    ("no_route", {"envoy": 403, "traefik": 403, "caddy": 403, "nginx": 403}),
    ("no_credential", {"envoy": 401, "traefik": 401, "caddy": 401, "nginx": 401}),
    ("internal_error", {"envoy": 403, "traefik": 503, "caddy": 503, "nginx": 403}),
    ("wrong_tenant", {"envoy": 403, "traefik": 403, "caddy": 403, "nginx": 403}),
]


@pytest.mark.parametrize(("code", "statuses"), DENIALS)
@pytest.mark.parametrize("profile", CALLS)
async def test_a_denial_has_a_status_that_the_gateway_obeys(code, statuses, profile):
    target, headers = CALLS[profile]
    async with door(Fake(denied(code))) as client:
        reply = await client.call(target, headers)
    assert (reply.status, reply.reason) == (statuses[profile], code)
    assert reply.header("content-type") == "application/problem+json"
    assert json.loads(reply.body)["status"] == reply.status
    assert not {"server", "date"} & {name for name, _ in reply.headers}
    assert (reply.header("www-authenticate") is not None) is (reply.status == 401)


@pytest.mark.parametrize("profile", CALLS)
@pytest.mark.parametrize("status", [0, 100, 200, 204, 302, 404, 429, 500, 599, 799])
async def test_no_status_of_a_denial_can_be_an_allow(profile, status):
    target, headers = CALLS[profile]
    decision = Decision(reason=reason("no_route").__class__("odd", "policy", status, "odd"))
    async with door(Fake(decision)) as client:
        reply = await client.call(target, headers)
    bounds = {"envoy": (400, 499), "nginx": (401, 403)}.get(profile, (400, 599))
    assert bounds[0] <= reply.status <= bounds[1]


async def test_the_person_denied_is_told_what_would_help():
    decision = denied(
        "step_up", challenge='Bearer error="insufficient_user_authentication"', step_up=StepUp("mfa", 300),
        missing=Missing("export", ("gold",)), requestable=("r1",), policies=("secret-policy",), detail="internals",
        subject="alice",
    )  # fmt: skip
    async with door(Fake(decision)) as client:
        reply = await client.call("/authz/traefik", FORWARDED)
    body = json.loads(reply.body)
    assert body["missing"] == {"feature": "export", "plans": ["gold"]}
    assert body["step_up"] == {"acr_values": "mfa", "max_age": 300}
    assert body["decision_id"] == "id-1"
    assert reply.header("www-authenticate") == 'Bearer error="insufficient_user_authentication"'
    assert not any(word in reply.body for word in (b"secret-policy", b"internals", b"alice"))


async def test_a_grpc_caller_gets_text():
    async with door(Fake(denied("internal_error"))) as client:
        reply = await client.call("/authz/traefik", {**FORWARDED, "Content-Type": "application/grpc+proto"})
    assert (reply.status, reply.body) == (403, b"internal_error: the decision failed")


async def test_a_denial_of_a_head_request_has_no_body():
    async with door(Fake(denied("no_route"))) as client:
        reply = await client.call("/authz/envoy/x", method="HEAD")
        assert (reply.status, reply.body) == (403, b"")
        assert int(reply.header("content-length")) > 0


BROKEN = [
    RuntimeError("boom"),
    Decision(reason=ALLOWED, allowed=True, upstream=(("x-a", "b\r\nx-admin: 1"),)),
    Decision(reason=ALLOWED, allowed=True, upstream=(("x a", "b"),)),
    Decision(reason=ALLOWED, allowed=True, upstream=(("x-a", "\udcff"),)),
    Decision(reason=ALLOWED, allowed=True, upstream=(("content-length", "5"),)),
    Decision(reason=ALLOWED, allowed=True, remove=("x-a\r\nx-admin: 1",)),
    Decision(reason=reason("no_credential"), challenge="Bearer\r\nx: y"),
    None,
    Decision(reason=ALLOWED, allowed=1),
]


@pytest.mark.parametrize(
    ("profile", "broken"),
    [
        (profile, broken)
        for profile in ("envoy", "traefik", "nginx")
        for broken in BROKEN
        if profile == "envoy" or not getattr(broken, "remove", ())  # only Envoy is told what to remove
    ],
)
async def test_a_fault_of_ours_is_a_denial(profile, broken):
    target, headers = CALLS[profile]
    async with door(Fake(broken)) as client:
        reply = await client.call(target, headers)
    assert reply.status in {401, 403, 503}
    if profile == "envoy":
        assert reply.status < 500
    assert b"boom" not in reply.body
    assert b"x-admin" not in reply.body


# Bodies and connections


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

"""A forward-auth door on a socket of its own, a client of it, and what each gateway sends."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

from authorizer.doors.forward_auth import ForwardAuth
from authorizer.doors.forward_auth_peers import trust
from authorizer.doors.http1 import open_http
from authorizer.model import Decision, Request
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


def denied(code: str, **fields) -> Decision:
    why = reason(code) if code in REASONS else authored(code)
    return Decision(reason=why, id="id-1", **fields)

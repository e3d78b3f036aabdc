"""A control plane on a socket of its own, and documents for it."""

import json
from contextlib import asynccontextmanager

import aiohttp

from authorizer.bundle import read
from authorizer.control_plane.server import signing_key
from authorizer.control_plane.server.running import Config, running
from tests import leaks

TOKENS = {"authorizer": leaks.secret("an-authorizer-credential"), "admin": leaks.secret("an-admin-credential-too")}
LONG_POLL = "application/vnd.openpolicyagent.bundles"


def application(name: str) -> bytes:
    """Return a document that is good by itself, and beside those of other names."""
    return f"kind: Application\nid: {name}\nmodel: pbac\nhttp: {{hosts: [h], routes: {{GET /{name}: }}}}\n".encode()


ONE, TWO, THREE = map(application, ("one", "two", "three"))
BROKEN = b"kind: broken\n"
ODD = b"{kind: Catalog, conditions: {unused: {env.risk: {gt: 1}}}}\n"
TINY = b"kind: Facts"


class Plane:
    def __init__(self, url: str, session: aiohttp.ClientSession, config: Config) -> None:
        self.url, self.session, self.config = url, session, config

    async def ask(self, method, path, *, role="admin", headers=None, **more):
        """Return (status, headers, body: JSON if it is, else bytes)."""
        sent = {"authorization": f"Bearer {TOKENS[role]}"} if role else {}
        async with self.session.request(method, self.url + path, headers={**sent, **(headers or {})}, **more) as got:
            body = await got.read()
            return got.status, got.headers, json.loads(body) if "json" in got.content_type else body

    async def get(self, path, **more):
        status, _, body = await self.ask("GET", path, **more)
        assert status == 200, body
        return body

    async def put(self, name, text):
        status, _, body = await self.ask("PUT", f"/v1/documents/{name}", data=text)
        return status, body

    async def bundle(self, kind="policy", **headers):
        return await self.ask("GET", f"/v1/bundles/{kind}", role="authorizer", headers=headers)


@asynccontextmanager
async def serving(config: Config, **more):
    async with running(config, **more) as server, aiohttp.ClientSession() as session:
        yield Plane(server.url, session, config)


def applications(config: Config, data: bytes) -> set[str]:
    signer, _ = signing_key.load(None, "", config.state)
    return read(data, kind="policy", verifier=signing_key.verifier(signer)).document["applications"].keys()

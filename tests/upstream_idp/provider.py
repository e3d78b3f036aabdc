"""An identity provider on this machine that does as it is told: right, slow, lying, huge, gone."""

import asyncio
import contextlib
import json

from aiohttp import web

from authorizer.jose import sign
from authorizer.pdp import issuers, trust
from authorizer.policy import documents


class Provider:
    """``jwks``, ``metadata``, ``tokens`` and ``exchanges`` are what it answers; ``calls`` are the paths asked for.

    ``answer`` replaces any answer: a function from the request to a response.
    """

    def __init__(self):
        self.pems = {}
        self.jwks = {"keys": []}
        self.metadata = {}
        self.tokens = {}
        self.exchanges = {}
        self.calls = []
        self.asked = []
        self.answer = None
        self.url = ""

    def rotate(self, *names):
        """Sign with the last of ``names`` and publish all of them."""
        for name in names:
            self.pems.setdefault(name, sign.generate("ES256"))
        self.jwks = {"keys": [sign.public_jwk(self.pems[name], "ES256", name) for name in names]}

    def token(self, name, now, **claims):
        body = {"iss": self.url, "aud": "api", "sub": "ann", "iat": int(now), "exp": int(now) + 3600} | claims
        return sign.sign(body, self.pems[name], "ES256", name)

    async def handle(self, request):
        self.calls.append(request.path)
        if self.answer is not None:
            return await self.answer(request)
        match request.path:
            case "/.well-known/openid-configuration":
                return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | self.metadata)
            case "/keys":
                return web.json_response(self.jwks)
            case "/introspect":
                form = dict(await request.post())
                self.asked.append((form, request.headers.get("authorization", "")))
                return web.json_response(self.tokens.get(form["token"], {"active": False}))
            case "/token":
                form = dict(await request.post())
                self.asked.append((form, request.headers.get("authorization", "")))
                told = self.exchanges.get(form["subject_token"], {"error": "invalid_grant"})
                return web.json_response(told, status=400 if "error" in told else 200)
        return web.Response(status=404)


@contextlib.asynccontextmanager
async def running(tls=None):
    provider = Provider()
    runner = web.ServerRunner(web.Server(provider.handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    provider.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()


def trusting(provider, **more):
    """Return the Trust in the provider alone."""
    row = {"issuer": provider.url, "audiences": ["api"], "algorithms": ["ES256"], "discovery": "true"} | more
    text = f"kind: Issuers\nissuers: {{idp: {json.dumps({k: v for k, v in row.items() if v is not None})}}}"
    rows, problems = issuers.compile_issuers(documents.load(text, "i.yaml"), lambda _: b"")
    assert problems == []
    return trust.load(rows)


async def until(true):
    """Wait for something that is about to be so."""
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")


def text(body, status=200, **headers):
    async def answer(_request):
        return web.Response(body=body, status=status, headers=headers)

    return answer

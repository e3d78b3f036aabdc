"""An authorizer that has a partner's tokens exchanged, and the provider that does it."""

import contextlib
import itertools
import json

from authorizer.jose import sign
from authorizer.model import Decision, Request
from authorizer.pdp.needs import Exchange, Spend
from authorizer.pdp.proofs import Proofs
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer
from authorizer.upstream_idp.calls import open_session
from authorizer.upstream_idp.clients import Client, Clients
from authorizer.upstream_idp.token_exchange import Exchanger
from tests import leaks
from tests.upstream_idp.provider import running

NOW = 1_800_000_000.0
PARTNER = "https://partner.example"
ISSUED = "urn:ietf:params:oauth:token-type:access_token"
POLICIES = """
kind: Application
id: api
http: {hosts: [api.example], issuers: [main], routes: {GET /read: {scopes: [read]}}}
---
kind: Application
id: bare
http: {hosts: [bare.example], credentials: strip, routes: {GET /read: {scopes: [read]}}}
"""
HEADERS = {"x-auth-subject": "subject"}


class World:
    """An authorizer that trusts two issuers, and has the tokens of one exchanged for tokens of the other."""

    def __init__(self, provider, session, headers=HEADERS, now=NOW, **how):
        self.provider, self.now, self.notes = provider, now, []
        self.pems = {"main": sign.generate("ES256"), "partner": sign.generate("ES256")}
        endpoint = f"{provider.url}/token"
        exchange = {"endpoint": endpoint, "client": "us", "audience": "api", "scopes": ["read"], "seconds": "60s"} | how
        issuers = {
            "main": self._row("main", provider.url),
            "partner": self._row("partner", PARTNER) | {"namespace": "partner/", "exchange": exchange},
        }
        documents = {
            "a.yaml": POLICIES.encode(),
            "i.yaml": json.dumps({"kind": "Issuers", "issuers": issuers}).encode(),
        }
        self.documents = compile_documents(documents).documents()
        self.options = Options(identity_headers=headers, proofs=Proofs(algorithms=frozenset({"ES256"})))
        self.revisions = {"policy": "1", "facts": "1", "trust": "1"}
        client = Client(
            id="us", method="client_secret_basic", secret=leaks.secret("a-secret-that-no-log-may-show"), session=session
        )
        ids = map(str, itertools.count()).__next__
        clients = Clients(known={"us": client}, seconds=0.5, clock=lambda: self.now, new_id=ids)
        self.exchanger = Exchanger(clients, self.notes.append)
        self.authorizer = Authorizer(self.snapshot(), clock=lambda: self.now, meet=self.meet)

    def _row(self, name, issuer):
        keys = {"keys": [sign.public_jwk(self.pems[name], "ES256", name)]}
        return {"issuer": issuer, "audiences": ["api"], "algorithms": ["ES256"], "jwks": keys}

    def snapshot(self, previous=None):
        return build(self.documents, dict(self.revisions), self.options, previous)

    async def meet(self, need):
        if isinstance(need, Spend):
            return True
        assert isinstance(need, Exchange)
        issuer = self.authorizer.snapshot.trust.issuers[need.issuer]
        return await self.exchanger.ask(need.issuer, issuer.exchange, need.token)

    def token(self, name, **claims):
        issuer = self.provider.url if name == "main" else PARTNER
        body = {"iss": issuer, "aud": "api", "sub": "ann", "iat": int(self.now), "exp": int(self.now) + 3600} | claims
        return sign.sign(body, self.pems[name], "ES256", name)

    def answer(self, token, got, **more):
        """Let the provider exchange ``token`` for ``got``."""
        told = {"access_token": got, "issued_token_type": ISSUED, "token_type": "Bearer", "expires_in": 300} | more
        self.provider.exchanges[token] = {name: value for name, value in told.items() if value is not None}

    async def ask(self, authorization, host="api.example", **headers):
        sent = {name.replace("_", "-"): (value,) for name, value in headers.items()}
        request = Request(
            method="GET", target="/read", host=host, scheme="https", headers=sent | {"authorization": (authorization,)}
        )
        decision = self.authorizer.check(request)
        return decision if isinstance(decision, Decision) else await decision

    async def code(self, token):
        return (await self.ask(f"Bearer {token}")).reason.code


@contextlib.asynccontextmanager
async def world(**more):
    async with running() as provider, open_session() as session:
        yield World(provider, session, **more)

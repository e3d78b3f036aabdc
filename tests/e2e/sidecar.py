"""An authorizer behind a real Envoy with an issuer of its own, for the rows of the EmpowerID model."""

import json
from dataclasses import dataclass
from typing import Any

from authorizer.demo.callers import AUDIENCE, ISSUER, token
from authorizer.demo.gateway import Gateway
from authorizer.jose.sign import generate, public_jwk
from authorizer.model import KINDS, Decision
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer
from tests.e2e.shop import Clock
from tests.e2e.world import Api, Doors, Reply, send

KEY = generate("ES256")
NOON = 1_795_172_400.0  # 2026-11-20T11:00:00Z, noon in Oslo
ISSUERS = f"""
kind: Issuers
issuers:
  main:
    issuer: "{ISSUER}"
    audiences: [{AUDIENCE}]
    algorithms: [ES256]
    jwks_file: keys.json
    claims: {{collection: collections, business_role: jobs, location: places, business_role_location: posts, management_role_definition: definitions, fields: FIELDS, env: {{risk: risk}}}}
"""


def documents(fields: str, *texts: str) -> dict[str, bytes]:
    keys = json.dumps({"keys": [public_jwk(KEY, "ES256", "demo")]})
    named = {f"{number}.yaml": text.encode() for number, text in enumerate(texts, 1)}
    return {**named, "issuers.yaml": ISSUERS.replace("FIELDS", fields).encode(), "keys.json": keys.encode()}


@dataclass
class Sidecar:
    """An authorizer behind Envoy, whose clock stands still at noon unless a test sets it."""

    authorizer: Authorizer
    clock: Clock
    gateway: Gateway
    doors: Doors
    api: Api
    host: str = "api.example"

    def load(self, fields: str, *texts: str) -> None:
        sources = compile_documents(documents(fields, *texts))
        self.authorizer.snapshot = build(sources.documents(), dict.fromkeys(KINDS, "edition-7"), Options())

    async def ask(
        self, operation: str, *headers: tuple[str, str], body: bytes = b"", **claims: Any
    ) -> tuple[int, Decision]:
        """Send a request, with a token when anything is claimed; return what the client and the authorizer saw."""
        reply = await self.send(operation, *headers, body=body, **claims)
        return reply.status, self.doors.decisions[-1]

    async def send(self, operation: str, *headers: tuple[str, str], body: bytes = b"", **claims: Any) -> Reply:
        method, _, target = operation.partition(" ")
        said = dict(claims)
        sent = list(headers)
        if said:
            sent.append(("Authorization", f"Bearer {token({'sub': 'ann', **said}, KEY, self.clock())}"))
        if body:
            sent.append(("Content-Type", "application/json"))
        return await send(self.gateway.url, method, target, sent, body, host=self.host)


ROLES = """
kind: Application
id: app
model: pbac
rights: {read: {global: Read}, write: {global: Write}}
roles: {Reader: [read], Editor: [EDITOR]}
http: {hosts: [api.example], routes: {GET /r: {right: read}, PUT /r: {right: write}}}
---
kind: Policies
policies: [{id: editors, role: app/Editor, to: {group: editors}}]
"""
INTANGIBLE = """
kind: Application
id: insure
model: pbac+fields
fields:
  line: {type: enum, values: [motor, home]}
  agency: {type: string, scope: [resource, assignee]}
  value: {type: decimal}
  limit: {type: decimal, scope: assignee}
rights: {change: {fields: [line, agency, value]}}
http:
  hosts: [api.example]
  routes:
    POST /agencies/{agency}/contracts/{id}: {right: change, resource: {id: path.id, agency: path.agency, line: lookup.line, value: body.value}, trust: acted_on}
---
kind: Policies
policies: [{id: own, right: insure/change, to: {group: agents}, where: {resource.agency: {eq: $assignee.agency}, resource.line: {eq: motor}, resource.value: {lte: $assignee.limit}}}]
"""

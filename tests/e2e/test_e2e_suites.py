"""The published example suites, each case sent through a real Envoy with a minted token and facts served apart."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from authorizer.demo.callers import AUDIENCE, ISSUER, token
from authorizer.demo.processes import Children
from authorizer.gateways.envoy import Check
from authorizer.jose.sign import generate, public_jwk
from authorizer.pdp import rehearsal
from authorizer.pdp.facts import compile_facts
from authorizer.pdp.finding import find
from authorizer.pdp.snapshot import Options, Snapshot, build
from authorizer.pdp.sources import compile_documents
from authorizer.policy.documents import load
from authorizer.policy.testing import Case, failures
from authorizer.service import Authorizer
from tests.e2e.shop import Clock, snapshot
from tests.e2e.world import Api, envoy, open_doors, send

EXAMPLES = Path(__file__).parents[3] / "shared" / "design" / "examples"
SOLD = ("plan", "billing", "contract_end")
"""Attributes that come from the tenant's subscription, not from the token."""

LISTED = {"group": "groups", "management_role": "roles", "collection": "collections", "business_role_location": "posts"}
ATTRIBUTES = (*SOLD, "tenant", "customers", "agency", "country", "limit")


def examples() -> dict[str, bytes]:
    if not EXAMPLES.is_dir():
        pytest.skip(f"{EXAMPLES} is absent: outside test data is not part of this repository")
    return {path.name: path.read_bytes() for path in EXAMPLES.glob("*.yaml")}


def with_issuer(files: Mapping[str, bytes], key: bytes) -> dict[str, bytes]:
    issuer = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "algorithms": ["ES256"],
        "jwks_file": "keys.json",
        "max_lifetime": "30d",
        "claims": {**LISTED, "fields": {name: name for name in ATTRIBUTES}, "env": {"risk": "risk"}},
    }
    issuers = yaml.safe_dump({"kind": "Issuers", "issuers": {"main": issuer}})
    keys = json.dumps({"keys": [public_jwk(key, "ES256", "demo")]})
    return {**files, "issuers.yaml": issuers.encode(), "keys.json": keys.encode()}


def moment(case: Case) -> float:
    """Return when the case happens; a time of day that it names is told by the clock."""
    if "time" not in case.env:
        return case.now
    hour, minute = map(int, str(case.env["time"]).split(":"))
    return datetime.fromtimestamp(case.now, UTC).replace(hour=hour, minute=minute).timestamp()


def zoned(files: Mapping[str, bytes], case: Case) -> dict[str, bytes]:
    """Declare a time zone, without which no time of day is known, where the case knows one."""
    if "time" not in case.env:
        return dict(files)
    plain, clocked = b"env: {risk: {default: 0}}", b"env: {risk: {default: 0}, time: {zone: UTC}}"
    assert plain in files["catalog.yaml"]
    return {**files, "catalog.yaml": files["catalog.yaml"].replace(plain, clocked)}


def claims(case: Case) -> dict[str, Any]:
    """Say of the subject in a token what its issuer can know."""
    said: dict[str, Any] = {"sub": case.subject}
    for held in sorted(case.tokens):
        kind, _, name = held.partition(":")
        if kind in LISTED:
            said.setdefault(LISTED[kind], []).append(name.split("\x1f") if "\x1f" in name else name)
    said |= {name: value for name, value in case.attributes.items() if name not in SOLD}
    said |= {name: case.env[name] for name in ("acr", "risk") if name in case.env}
    if "auth_age" in case.env:
        said["auth_time"] = int(moment(case)) - int(str(case.env["auth_age"]))
    return said


def served(files: Mapping[str, bytes], case: Case, routes: Snapshot) -> Snapshot:
    """Put the facts of a case beside the documents. They are not held against the policies: one case has bad ones."""
    documents = compile_documents(zoned(files, case)).documents()
    compiled, problems = compile_facts(load(facts(case, routes), "facts.yaml"))
    assert problems == []
    return build({**documents, "facts": compiled}, {}, Options())


def facts(case: Case, routes: Snapshot) -> str:
    """Say what the tenant has bought, and what is known of the resource."""
    document: dict[str, Any] = {"kind": "Facts"}
    sold = {name: value for name, value in case.attributes.items() if name in SOLD}
    if sold:
        document["subscriptions"] = {case.attributes["tenant"]: sold}
    operation = find(routes, rehearsal.request_of(case))
    if case.data and hasattr(operation, "guard"):
        table = operation.guard.route.lookup_table
        document["lookups"] = {table: {operation.match.params["id"]: dict(case.data)}}
    return yaml.safe_dump(document)


@pytest.mark.parametrize("suite", ["b2b", "insurance"])
async def test_each_case_of_a_suite_through_envoy(suite: str, children: Children, api: Api, tmp_path: Path) -> None:
    key = generate("ES256")
    files = with_issuer(examples(), key)
    cases = [case for case in compile_documents(files).tests if case.suite == suite]
    assert len(cases) > 10
    clock = Clock()
    authorizer = Authorizer(clock=clock)
    routes = snapshot(files)
    wrong: list[str] = []
    async with open_doors(authorizer) as doors:
        gateway = await envoy(children, tmp_path, Check(address=doors.grpc, body_bytes=8192), api.address, unguarded)
        for case in cases:
            clock.now = moment(case)
            authorizer.snapshot = served(files, case, routes)
            headers = [("Authorization", f"Bearer {token(claims(case), key, clock.now)}")]
            headers += [("Content-Type", "application/json")] if case.body else []
            doors.decisions.clear()
            api.seen.clear()
            reply = await send(gateway.url, case.method, case.target, headers, case.body, host=case.host)
            (decision,) = doors.decisions
            wrong += [f"{case.name}: {what}" for what in failures(case.expect, decision)]
            if reply.status != (200 if decision.allowed else decision.reason.status):
                wrong.append(f"{case.name}: {reply.status}")
            if len(api.seen) != (case.expect.decision == "allow"):
                wrong.append(f"{case.name}: the API saw {len(api.seen)} requests")
    assert not wrong, "\n".join(wrong)


def unguarded(config: dict[str, Any]) -> None:
    """Let Envoy pass encoded slashes on: the suites expect our refusal, not Envoy's."""
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    chain["filters"][0]["typed_config"]["path_with_escaped_slashes_action"] = "KEEP_UNCHANGED"

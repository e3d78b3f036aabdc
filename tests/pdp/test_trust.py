"""Issuers documents: what they compile to, and every way in which one is wrong, at its place."""

import json

import pytest

from authorizer.errors import KeyMaterialError
from authorizer.jose import sign
from authorizer.pdp import issuers, trust
from authorizer.policy import documents

JWK = sign.public_jwk(sign.generate("ES256"), "ES256", "k")
GOOD = f"""kind: Issuers
issuers:
  main:
    issuer: https://idp.example
    audiences: [orders]
    algorithms: [ES256]
    jwks: {json.dumps({"keys": [JWK]})}
"""


def compiled(text: str, files: dict[str, bytes] | None = None, name: str = "dir/i.yaml"):
    return issuers.compile_issuers(documents.load(text, name), (files or {}).__getitem__)


def test_defaults() -> None:
    result, problems = compiled(GOOD)
    assert problems == []
    issuer = trust.load(json.loads(json.dumps(result))).issuers["https://idp.example"]
    assert issuer.types == {"at+jwt", "jwt", ""}
    assert (issuer.leeway, issuer.max_lifetime, issuer.namespace, issuer.foreign) == (30, 86400, "", ())
    assert issuer.claims.names == {
        "person": ("sub",),
        "client": ("client_id", "azp"),
        "group": ("groups",),
        "management_role": ("roles",),
    }
    assert [key.id for key in issuer.keys] == ["k"]


def test_everything_set() -> None:
    text = (
        GOOD
        + """    types: [application/at+JWT]
    leeway: 0
    max_lifetime: 15m
    required: [client_id]
    namespace: main/
    claims: {group: realm.groups, management_role: "", location: loc, fields: {tenant: org.id}, env: {risk: r}}
    attributes: {tenant: acme, regions: [eu, us]}
"""
    )
    result, problems = compiled(text)
    assert problems == []
    issuer = trust.load(result).issuers["https://idp.example"]
    assert (issuer.types, issuer.leeway, issuer.max_lifetime, issuer.required) == ({"at+jwt"}, 0, 900, ("client_id",))
    assert issuer.claims.names["group"] == ("realm.groups",)
    assert "management_role" not in issuer.claims.names
    assert (issuer.claims.fields, issuer.claims.env) == ({"tenant": "org.id"}, {"risk": "r"})
    assert issuer.attributes == {"tenant": "acme", "regions": ("eu", "us")}


def test_keys_from_a_file_beside_the_document() -> None:
    text = GOOD[: GOOD.index("    jwks:")] + "    jwks_file: keys/main.json\n"
    result, problems = compiled(text, {"dir/keys/main.json": json.dumps({"keys": [JWK, {"kty": "oct"}]}).encode()})
    assert [(problem.code, problem.severity) for problem in problems] == [("T111", "warning")]
    assert [key["kid"] for key in result["issuers"][0]["keys"]] == ["k"]


def test_no_secret_is_published() -> None:
    leaked = JWK | {"kid": "private", "d": "c2VjcmV0"}
    result, problems = compiled(GOOD.replace(json.dumps({"keys": [JWK]}), json.dumps({"keys": [JWK, leaked]})))
    assert [problem.code for problem in problems] == ["T111"]
    assert "c2VjcmV0" not in json.dumps(result) + str(problems)


SECOND = """  other:
    issuer: https://idp.example
    audiences: [x]
    algorithms: [ES256]
    jwks_file: k
"""


ASKED = "{endpoint: 'https://x.example/i', client: c, tokens: all}"


@pytest.mark.parametrize(
    ("change", "code", "line", "words"),
    [
        (("audiences: [orders]", "audience: [orders]"), "AZ204", 5, "did you mean 'audiences'?"),
        (("audiences: [orders]", "audience: [orders]"), "T105", 4, "needs 'audiences'"),
        (("[orders]", "[]"), "T105", 5, "must not be empty"),
        (("[orders]", "orders"), "AZ209", 5, "must be a list"),
        (("[orders]", "[orders, orders]"), "AZ202", 5, "twice"),
        (("[ES256]", "[ES255]"), "T104", 6, "did you mean 'ES256'?"),
        (("[ES256]", "[ES256, HS256]"), "T104", 6, "only asymmetric"),
        (("[ES256]", "[none]"), "T104", 6, "only asymmetric"),
        (("[ES256]", "[RS256]"), "T112", 7, "no key"),
        (("    jwks:", "    jwks_file: x\n    jwks:"), "T109", 4, "exactly one"),
        (("    jwks:", "    discovery: false\n    #"), "T109", 4, "exactly one"),
        (('{"keys":', '{"kes":'), "T110", 7, "list 'keys'"),
        (("    jwks:", "    jwks: https://login.example/keys #"), "T110", 7, "jwks_uri"),
        (("    jwks:", "    leeway: 121\n    jwks:"), "T103", 7, "from 0s to 120s"),
        (("    jwks:", "    leeway: soon\n    jwks:"), "T103", 7, "duration"),
        (("    jwks:", "    max_lifetime: 0\n    jwks:"), "T103", 7, "duration"),
        (("    jwks:", "    claims: {grup: x}\n    jwks:"), "AZ204", 7, "did you mean 'group'?"),
        (("    jwks:", "    claims: {env: {time: x}}\n    jwks:"), "T108", 7, "cannot come from a claim"),
        (("    jwks:", "    claims: [x]\n    jwks:"), "AZ209", 7, "must be a mapping"),
        (("    jwks:", "    namespace:\n    jwks:"), "AZ209", 7, "must be text"),
        (("    jwks:", "    attributes: {tenant: {a: b}}\n    jwks:"), "AZ209", 7, "must be text"),
        (("    jwks:", "    jwks_uri: http://idp.example/keys #"), "T115", 7, "jwks_uri must be an https URL"),
        (("    jwks:", "    jwks_uri: https://u@idp.example/keys #"), "T115", 7, "jwks_uri must be an https URL"),
        (("https://idp.example\n", "http://idp.example\n    discovery: true\n"), "T115", 4, "of a discovery must be"),
        (("    jwks:", "    exchange: {client: c}\n    jwks:"), "AZ210", 7, "no 'endpoint'"),
        (("    jwks:", "    exchange: {endpoint: 'http://x.example/t', client: c}\n    jwks:"), "T115", 7, "https URL"),
        (
            ("    jwks:", "    exchange: {endpoint: 'https://x.example/t', client: c, scopes: ['a b']}\n    jwks:"),
            "T119",
            7,
            "a space",
        ),
        (
            ("    jwks:", "    exchange: {endpoint: 'https://x.example/t', client: c, authorization: both}\n    jwks:"),
            "T119",
            7,
            "exchanged",
        ),
        (
            ("    jwks:", "    exchange: {endpoint: 'https://x.example/t', client: c, seconds: 2h}\n    jwks:"),
            "T103",
            7,
            "3600s",
        ),
        (
            ("    jwks:", "    exchange: {endpoint: 'https://x.example/t', client: c, resource: x}\n    jwks:"),
            "AZ204",
            7,
            "exchange",
        ),
        (
            ("    jwks:", f"    introspection: {ASKED.replace('all', 'jwts')}\n    jwks:"),
            "T116",
            7,
            "did you mean 'jwt'?",
        ),
        (("issuers:", "issuer:"), "AZ204", 2, "did you mean 'issuers'?"),
        (("issuers:", "issuer:"), "T105", 1, "needs 'issuers'"),
        (("  main:", SECOND + "  main:"), "T106", 8, "is already at dir/i.yaml:3:3"),
        (("  main:", SECOND + "  main:"), "T107", 8, "overlaps"),
        (("  main:", SECOND + "  main:"), "T113", 7, "cannot be read"),
        (("  main:", SECOND.replace("file: k", "file: ../k") + "  main:"), "T113", 7, "below the document"),
        (("  main:", SECOND.replace("file: k", "file: /etc/k") + "  main:"), "T113", 7, "below the document"),
    ],
)
def test_problems(change: tuple[str, str], code: str, line: int, words: str) -> None:
    _, problems = compiled(GOOD.replace(*change))
    found = [problem for problem in problems if problem.code == code and problem.place.line == line]
    assert found, problems
    assert any(words in str(problem) for problem in found)


@pytest.mark.parametrize(
    ("first", "second", "opaque"),
    [
        ("all", "opaque", None),
        ("opaque", "opaque", None),
        ("jwt", "all", "other"),
        ("opaque", "jwt", "main"),
        ("jwt", "jwt", ""),
    ],
)
def test_one_issuer_alone_is_asked_about_opaque_tokens(first: str, second: str, opaque: str | None) -> None:
    entry = GOOD[GOOD.index("  main:") :]
    other = entry.replace("main", "other").replace("idp", "idp2")
    one, two = (f"    introspection: {ASKED.replace('all', tokens)}\n" for tokens in (first, second))
    result, problems = compiled(f"{GOOD}{one}{other}    namespace: p/\n{two}")
    assert [problem.code for problem in problems] == (["T117"] if opaque is None else [])
    if opaque is None:
        with pytest.raises(KeyMaterialError, match="AZ421"):
            trust.load(result)
    else:
        found = trust.load(result).opaque
        assert (found.name if found else "") == opaque


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("", "p/", False),
        ("a/", "b/", False),
        ("a", "b", False),
        ("", "", True),
        ("p/", "p/", True),
        ("p", "p/", True),
        ("p/x", "p", True),
    ],
)
def test_namespaces_neither_meet_nor_nest(first: str, second: str, clash: bool) -> None:
    entry = GOOD[GOOD.index("  main:") :]
    other = entry.replace("main", "other").replace("idp", "idp2")
    text = f'{GOOD}    namespace: "{first}"\n{other}    namespace: "{second}"\n'
    result, problems = compiled(text)
    assert [problem.code for problem in problems] == (["T107"] if clash else [])
    if clash:
        with pytest.raises(KeyMaterialError, match="AZ422"):
            trust.load(result)
    else:
        assert trust.load(result).issuers["https://idp.example"].foreign == (
            () if first else tuple(filter(None, [second]))
        )


def test_an_issuer_does_not_reach_into_the_names_of_certificates() -> None:
    result, _ = compiled(GOOD)
    rule = {"name": "mesh", "match": "trust_domain", "values": ["a.example"], "kind": "client", "namespace": "mesh/"}
    result["certificates"] = [rule, rule | {"name": "plain", "namespace": ""}]
    assert trust.load(result).issuers["https://idp.example"].foreign == ("mesh/",)
    result["issuers"][0]["namespace"] = "mesh/"
    assert trust.load(result).issuers["https://idp.example"].foreign == (), "whoever is given the namespace has it"


def row(**changes: object) -> dict[str, object]:
    result, _ = compiled(GOOD)
    return {"format": 1, "issuers": [result["issuers"][0] | changes]}


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (None, "AZ420"),
        ([], "AZ420"),
        ({}, "AZ420"),
        ({"format": 2, "issuers": []}, "AZ420"),
        ({"format": 1, "issuers": {}}, "AZ420"),
        (row(more=1), "AZ420"),
        (row(leeway="30"), "AZ420"),
        (row(algorithms=["none"]), "AZ421"),
        (row(algorithms=[]), "AZ421"),
        (row(audiences=[]), "AZ421"),
        (row(claims={"names": {"team": ["teams"]}, "fields": {}, "env": {}}), "AZ421"),
        (row(keys=[{"kty": "oct", "k": "AA"}]), "AZ404"),
        (row(keys=[JWK, JWK]), "AZ409"),
        ({"format": 1, "issuers": row()["issuers"] * 2}, "AZ422"),
    ],
)
def test_a_compiled_document_is_not_taken_on_faith(document: object, code: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        trust.load(document)
    assert caught.value.code == code

"""A rule says whom a certificate makes of its holder; what no rule covers is nobody."""

import msgspec
import pytest

from authorizer.pdp.certificate_rules import CertificateRule, compile_rules, holder
from authorizer.pdp.certificates import Certificate
from authorizer.policy import documents

GOOD = """
kind: Certificates
certificates:
  mesh: {trust_domain: acme.example, namespace: mesh/, is: {group: [workloads]}, attributes: {tenant: acme}}
  partner: {dns: [api.partner.example], as: person}
  robot: {uris: ["urn:robot:1", "urn:robot:2"]}
  subject: {subjects: ['CN=a\\,O=b,C=PL', "CN=web"], namespace: old/}
"""


def compiled(text):
    rows, problems = compile_rules(documents.load(text, "certificates.yaml"))
    return tuple(msgspec.convert(row, CertificateRule) for row in rows), [problem.code for problem in problems]


RULES = compiled(GOOD)[0]


@pytest.mark.parametrize(
    ("certificate", "expected"),
    [
        (Certificate(uris=("spiffe://acme.example/ns/a/sa/b",)), ("mesh", "mesh/spiffe://acme.example/ns/a/sa/b")),
        (Certificate(uris=("spiffe://acme.example",)), ("mesh", "mesh/spiffe://acme.example")),
        (Certificate(dns=("other", "api.partner.example")), ("partner", "api.partner.example")),
        (Certificate(uris=("urn:robot:1",)), ("robot", "urn:robot:1")),
        (Certificate(uris=("spiffe://acme.example/a", "spiffe://acme.example/b")), None),
        (Certificate(uris=("spiffe://acme.example/a", "spiffe://other.example/b")), None),
        (
            Certificate(uris=("spiffe://acme.example/a", "spiffe://acme.example/a")),
            ("mesh", "mesh/spiffe://acme.example/a"),
        ),
        (Certificate(uris=("spiffe://acme.example.evil.example/a",)), None),
        (Certificate(uris=("spiffe://evil.example/acme.example/a",)), None),
        (Certificate(uris=("spiffe://user@acme.example/a",)), None),
        (Certificate(uris=("spiffe://acme.example:443/a",)), None),
        (Certificate(uris=("spiffe://acme.example/a/../b",)), None),
        (Certificate(uris=("spiffe://acme.example/a//b",)), None),
        (Certificate(uris=("spiffe://acme.example/a/",)), None),
        (Certificate(uris=("spiffe://acme.example/a%2fb",)), None),
        (Certificate(uris=("SPIFFE://acme.example/a",)), None),
        (Certificate(uris=("https://acme.example/a",)), None),
        (Certificate(dns=("acme.example",), subject="CN=acme.example"), None),
        (Certificate(thumbprint="x"), None),
        (Certificate(uris=("urn:robot:1", "urn:robot:2")), None),
        (Certificate(uris=("urn:robot:1", "urn:robot:1")), ("robot", "urn:robot:1")),
        (Certificate(subject="CN=web"), ("subject", "old/CN=web")),
        (Certificate(subject="CN=a\\,O=b,C=PL"), ("subject", "old/CN=a\\,O=b,C=PL")),
        (Certificate(subject="CN=a,O=b,C=PL"), None),
        (Certificate(subject="CN=web,O=Acme"), None),
    ],
)
def test_who_holds_a_certificate(certificate, expected):
    found = holder(certificate, RULES)
    assert (found and (found[0].name, found[1])) == expected


def test_a_document_becomes_rows():
    mesh = RULES[0]
    assert (mesh.kind, mesh.names, mesh.attributes) == ("client", {"group": ("workloads",)}, {"tenant": "acme"})
    assert [rule.kind for rule in RULES] == ["client", "person", "client", "client"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("trust_domain: acme.example, ", ""), "T131"),
        (("trust_domain: acme.example", "trust_domain: 'spiffe://acme.example'"), "T131"),
        (("trust_domain: acme.example", "trust_domain: acme.example, dns: [x]"), "T131"),
        (('"CN=web"', '"CN=web, O=Acme"'), "T131"),
        (('"CN=web"', '"emailAddress=a@b"'), "T131"),
        (('"CN=web"', '"web"'), "T131"),
        (('"CN=web"', '""'), "AZ209"),
        (("as: person", "as: group"), "T132"),
        (("[workloads]", "workloads"), "AZ209"),
        (("is: {group", "is: {person"), "AZ204"),
        (("dns: [api.partner.example]", "uris: ['urn:robot:1']"), "T130"),
        (("certificates:\n", "certificats:\n"), "AZ204"),
    ],
)
def test_what_is_wrong_in_a_document_is_told(change, code):
    assert code in compiled(GOOD.replace(*change))[1]

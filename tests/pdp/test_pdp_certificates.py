"""Client certificates in each form that gateways use: which one it was, and what it names."""

import json
from base64 import b64encode
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from authorizer.jose.encoding import encode_base64url
from authorizer.model import Request
from authorizer.pdp.certificates import Certificate, CertificateFault, Place, certificate, read

PUBLISHED = Path(__file__).parents[3] / "shared/checks/sender-constrained/mtls-thumbprints-challenges.json"
URI = "spiffe://acme.example/ns/shop/sa/web"


def issue(name, *alternatives):
    key = Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(7).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    )  # fmt: skip
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(key, None)


CERT = issue("web", x509.UniformResourceIdentifier(URI), x509.DNSName("web.acme.example"))
DER = CERT.public_bytes(Encoding.DER)
PEM = CERT.public_bytes(Encoding.PEM).decode()
THUMBPRINT = encode_base64url(sha256(DER).digest())
HASH = sha256(DER).hexdigest()
WHOLE = Certificate(thumbprint=THUMBPRINT, uris=(URI,), dns=("web.acme.example",), subject="CN=web")
OTHER = issue("other").public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (quote(PEM, safe=""), "pem"),
        (quote(PEM + OTHER, safe=""), "pem"),
        (b64encode(DER).decode(), "pem"),
        (quote(b64encode(DER).decode(), safe="") + ",AAAA", "pem"),
        (f":{b64encode(DER).decode()}:", "client-cert"),
        (f'Hash={HASH};Cert="{quote(PEM, safe="")}"', "xfcc"),
        (f'Hash={HASH};Chain="{quote(PEM + OTHER, safe="")}";URI=spiffe://forged', "xfcc"),
        (f'By=spiffe://a;By=spiffe://b;Cert="{quote(PEM, safe="")}";URI=;DNS=', "xfcc"),
    ],
)
def test_one_certificate_in_each_form(text, form):
    assert read(text, form) == WHOLE


def test_an_element_without_the_certificate_tells_its_hash_and_names():
    text = f'By=spiffe://gw;hash={HASH.upper()};Subject="CN=a\\"b,O=x\\;y";URI={URI};URI=spiffe://two;DNS=d'
    assert read(text, "xfcc") == Certificate(
        thumbprint=THUMBPRINT, uris=(URI, "spiffe://two"), dns=("d",), subject='CN=a\\"b,O=x\\;y'
    )


@pytest.mark.parametrize(
    ("told", "subject"),
    [
        ("", ""),
        ("CN=web", "CN=web"),
        ("CN=web\\,O=Acme", "CN=web\\,O=Acme"),
        ("CN=\\C4\\85", "CN=ą"),
        ("emailAddress=a@b,CN=web", "1.2.840.113549.1.9.1=a@b,CN=web"),
        ("no name", ""),
        ("OU=a," * 400 + "CN=web", "OU=a," * 400 + "CN=web"),
        ("OU=a," * 6000 + "CN=web", ""),
    ],
)
def test_a_subject_is_compared_in_one_spelling(told, subject):
    assert read(f'URI={URI};Subject="{told}"', "xfcc").subject == subject


def test_the_element_of_the_outermost_trusted_proxy_counts():
    text = f"URI=spiffe://forged, URI={URI},URI=spiffe://inner-proxy"
    assert read(text, "xfcc", 2).uris == (URI,)
    assert read(text, "xfcc").uris == ("spiffe://inner-proxy",)
    with pytest.raises(CertificateFault):
        read(text, "xfcc", 4)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", "xfcc"), ("URI", "xfcc"), ("=x", "xfcc"), ("URI=a,", "xfcc"), ("URI=a;", "xfcc"), ('Subject="a', "xfcc"),
        ('Subject="a"b', "xfcc"), ('Subject="a"xURI=spiffe://b', "xfcc"), ('URI=a"b', "xfcc"), ('Subject="a\\', "xfcc"), ("Hash=zz", "xfcc"), ("Hash=ab", "xfcc"),
        (f"Hash={HASH};Hash={HASH}", "xfcc"), ("By=spiffe://gw", "xfcc"), ("URI=", "xfcc"), ("URI=a\x01", "xfcc"),
        (f'Hash={"0" * 64};Cert="{quote(PEM, safe="")}"', "xfcc"), (f'Hash={HASH};Chain="{quote(OTHER + PEM, safe="")}"', "xfcc"), ("URI=é", "xfcc"), ("URI=a," * 40 + "URI=a", "xfcc"),
        (";".join(["URI=a"] * 65), "xfcc"), ("URI=" + "a" * 40_000, "xfcc"),
        ("", "pem"), ("-----BEGIN CERTIFICATE-----", "pem"), ("AAAA", "pem"), ("%ZZ", "pem"),
        ("%0a" * 4097 + quote(PEM, safe=""), "pem"),
        (b64encode(DER + b"x").decode(), "pem"), (b64encode(DER[:-1]).decode(), "pem"),
        ("", "client-cert"), (":", "client-cert"), ("::", "client-cert"), (b64encode(DER).decode(), "client-cert"),
        (f":{b64encode(DER).decode()}:, :AAAA:", "client-cert"),
        (b64encode(DER.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05", 1)).decode(), "pem"),  # its version
    ],
)  # fmt: skip
def test_what_is_not_one_certificate_is_a_fault(text, form):
    with pytest.raises(CertificateFault):
        read(text, form)


@pytest.mark.parametrize(("form", "times", "found"), [("pem", 1, True), ("pem", 2, False), ("client-cert", 2, False)])
def test_a_header_that_is_there_twice_is_a_fault(form, times, found):
    text = f":{b64encode(DER).decode()}:" if form == "client-cert" else quote(PEM, safe="")
    request = Request(headers={"x-cert": (text,) * times})
    place = Place(form=form, header="x-cert")
    with nullcontext() if found else pytest.raises(CertificateFault):
        assert certificate(request, place) == WHOLE


@given(st.text(alphabet='ByURIHash=;,"\\ %0aé', max_size=40), st.sampled_from(["xfcc", "client-cert", "pem"]))
def test_nothing_makes_the_reader_raise_anything_else(text, form):
    with suppress(CertificateFault):
        assert isinstance(read(text, form), Certificate)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published vectors lie beside the project, in shared/checks")
def test_the_published_certificate_and_its_thumbprint():
    published = json.loads(PUBLISHED.read_text())
    expected = published["x5t#S256"]
    assert read(quote(published["cert_pem"], safe=""), "pem").thumbprint == expected
    assert read(published["client_cert_header_rfc9440"], "client-cert").thumbprint == expected
    assert [read(text, "xfcc").thumbprint for text in published["xfcc_examples"]] == [expected] * 3

"""The client certificate that a gateway verified, in each form in which gateways pass one on.

Read from a trusted gateway only: whoever may write these headers is whoever it likes. Chain and dates were checked by
the gateway that ended the TLS connection; what is read here is which certificate it was and what it names.

Sources: Envoy's x-forwarded-client-cert and ``source.certificate``, RFC 9440 (Client-Cert), RFC 8705 section 3.
"""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from functools import lru_cache
from hashlib import sha256
from typing import Literal
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Struct

from authorizer.grammar import UNSAFE_TEXT
from authorizer.jose.encoding import encode_base64url
from authorizer.model import Request

Form = Literal["xfcc", "client-cert", "pem"]
"""``xfcc``: Envoy's header. ``client-cert``: RFC 9440. ``pem``: percent-encoded PEM, or its base64 alone."""

MAX_TEXT = 32 * 1024
_MAX_ELEMENTS = 32
_MAX_NAMES = 64
_MAX_SUBJECT = 2048
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_NAMED_BY_OPENSSL = {
    "emailAddress": x509.NameOID.EMAIL_ADDRESS,
    "serialNumber": x509.NameOID.SERIAL_NUMBER,
    "organizationIdentifier": x509.NameOID.ORGANIZATION_IDENTIFIER,
    "businessCategory": x509.NameOID.BUSINESS_CATEGORY,
    "jurisdictionC": x509.NameOID.JURISDICTION_COUNTRY_NAME,
}
_MAX_ESCAPES = 4096
# INVARIANT: nothing is looked at twice: linear work.
_VALUE = re.compile(r'((?:[^"\\]+|\\.)*+)"', re.DOTALL).match
_REPEATABLE = frozenset({"by", "uri", "dns"})


class Certificate(Struct, frozen=True, kw_only=True):
    """``thumbprint`` is ``x5t#S256`` (RFC 8705 3.1), empty where the gateway tells names alone.

    ``uris`` and ``dns`` are its subject alternative names, ``subject`` its distinguished name (RFC 4514), if it can be
    read.
    """

    thumbprint: str = ""
    uris: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    subject: str = ""


class CertificateFault(Exception):  # noqa: N818 - whoever asks answers it with a Reason
    """What the gateway passed on is no certificate; the message says in which way."""


class Place(Struct, frozen=True, kw_only=True):
    """Where a gateway tells of a client certificate: ``source``, beside the request, or else in a header.

    ``header`` is its name in lower case, and must be one that the gateway takes off what a client sends.
    """

    form: Literal["none", "source"] | Form = "none"
    header: str = ""
    hops: int = 1


def told(request: Request, place: Place) -> str:
    """Return what the gateway tells of the client's certificate, or "". Raise CertificateFault if it tells twice."""
    if place.form in {"none", "source"}:
        return request.certificate if place.form == "source" else ""
    values = request.headers.get(place.header, ())
    if len(values) > 1 and place.form != "xfcc":
        raise CertificateFault("the header is there twice")
    return ",".join(values)


def certificate(request: Request, place: Place) -> Certificate | None:
    """Return the client certificate that the gateway saw, or None. Raise CertificateFault for what cannot be read."""
    text = told(request, place)
    if not text or place.form == "none":
        return None
    return read(text, "pem" if place.form == "source" else place.form, place.hops)


def by_name(principal: str) -> Certificate:
    """Return what is known of a client of which the gateway tells one name alone: a URI, or else a DNS name."""
    uri = "://" in principal or principal.startswith("urn:")
    return Certificate(uris=(principal,)) if uri else Certificate(dns=(principal,))


def read(text: str, form: Form, hops: int = 1) -> Certificate:
    """Read the certificate in a header's value. Raise CertificateFault for what is not exactly one certificate.

    ``hops`` counts the trusted proxies, each of which appends an element to ``xfcc``: the client's certificate is the
    one that the outermost of them saw, the ``hops``-th element from the end.
    """
    if len(text) > MAX_TEXT or not text.isascii():
        raise CertificateFault("it is too long or not ASCII")
    if form == "xfcc":
        return _from_element(_element(text, hops))
    if form == "client-cert":
        if len(text) < 3 or text[0] != ":" or text[-1] != ":":
            raise CertificateFault("it is no byte sequence between colons")
        return _from_der(_base64(text[1:-1].encode()))
    return _from_pem(text)


def _element(text: str, hops: int) -> dict[str, list[str]]:
    elements = _elements(text)
    if len(elements) < hops:
        raise CertificateFault(f"it has {len(elements)} elements, and {hops} proxies are trusted")
    return elements[-hops]


def _elements(text: str) -> list[dict[str, list[str]]]:
    """Split x-forwarded-client-cert: elements at commas, pairs at semicolons, neither counts within quotes."""
    elements: list[dict[str, list[str]]] = [{}]
    position, end = 0, len(text)
    while position < end:
        key, value, position = _pair(text, position)
        values = elements[-1].setdefault(key, [])
        if values and key not in _REPEATABLE:
            raise CertificateFault(f"an element has {key!r} twice")
        values.append(value)
        if len(values) > _MAX_NAMES:
            raise CertificateFault("an element has too many names")
        if position == end:
            return elements
        if text[position] == ",":
            elements.append({})
            if len(elements) > _MAX_ELEMENTS:
                raise CertificateFault("it has too many elements")
        position += 1
        while position < end and text[position] == " ":
            position += 1
    raise CertificateFault("it ends where an element or a pair is due")


def _pair(text: str, start: int) -> tuple[str, str, int]:
    """Return (key in lower case, value, position of the separator or the end)."""
    equals = text.find("=", start)
    key = text[start:equals].lower() if equals > start else ""
    if not key.isalpha():
        raise CertificateFault("a pair has no key")
    position = equals + 1
    if text[position : position + 1] != '"':
        ends = [at for at in (text.find(";", position), text.find(",", position)) if at >= 0]
        end = min(ends, default=len(text))
        value = text[position:end]
        if '"' in value:
            raise CertificateFault("a quote stands inside a value")
        return key, value, end
    value, position = _quoted(text, position + 1)
    if position < len(text) and text[position] not in ";,":
        raise CertificateFault("something follows a quoted value")
    return key, value, position


def _quoted(text: str, start: int) -> tuple[str, int]:
    """Return (value, position after its quote). Escapes stay: only a subject has some, and they are its own."""
    found = _VALUE(text, start)
    if found is None:
        raise CertificateFault("a quoted value does not end")
    return found[1], found.end()


def _from_element(element: dict[str, list[str]]) -> Certificate:
    """Take what an element says; a certificate in it counts for everything, and must be the one that it names."""
    told = element.get("hash", [""])[0].lower()
    try:
        thumbprint = encode_base64url(bytes.fromhex(told)) if told else ""
    except ValueError:
        raise CertificateFault("its hash is not hexadecimal") from None
    if told and len(told) != 64:
        raise CertificateFault("its hash is no SHA-256")
    whole = element.get("cert") or element.get("chain")
    if whole:
        certificate = _from_pem(whole[0])
        if thumbprint and thumbprint != certificate.thumbprint:
            raise CertificateFault("its hash is another certificate's")
        return certificate
    uris, dns = (tuple(filter(None, element.get(name, []))) for name in ("uri", "dns"))
    subject = distinguished_name(element.get("subject", [""])[0])
    if UNSAFE_TEXT.search("".join((*uris, *dns, subject))):
        raise CertificateFault("a name has a control character")
    if not (thumbprint or uris or dns or subject):
        raise CertificateFault("the element tells nothing of the client")
    return Certificate(thumbprint=thumbprint, uris=uris, dns=dns, subject=subject)


@lru_cache(maxsize=512)
def distinguished_name(text: str) -> str:
    """Return a distinguished name (RFC 2253, as OpenSSL writes it too) in the one spelling that compares (RFC 4514).

    "" for what cannot be read, or is so long that it takes 4 ms: a name that nobody has.
    """
    try:
        known = 0 < len(text) <= _MAX_SUBJECT
        return x509.Name.from_rfc4514_string(text, _NAMED_BY_OPENSSL).rfc4514_string() if known else ""
    except (ValueError, TypeError, UnicodeError):
        return ""


def _from_pem(text: str) -> Certificate:
    """Read the first certificate: gateways that pass the chain on put the client's own one first."""
    if text.count("%") > _MAX_ESCAPES:
        raise CertificateFault("it has too many escapes")
    raw = unquote_to_bytes(text).strip()
    if raw.startswith(_BEGIN):
        body, end, _ = raw[len(_BEGIN) :].partition(_END)
        if not end:
            raise CertificateFault("its PEM does not end")
        return _from_der(_base64(b"".join(body.split())))
    return _from_der(_base64(raw.partition(b",")[0].strip()))


def _base64(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except NotBase64:
        raise CertificateFault("it is not base64") from None


@lru_cache(maxsize=512)
def _from_der(der: bytes) -> Certificate:
    # Remembered: one client asks many times, and reading takes longer than the rest of the decision. It is no secret.
    try:
        certificate = x509.load_der_x509_certificate(der)
        if certificate.public_bytes(Encoding.DER) != der:
            raise CertificateFault("something follows it")
        subject = certificate.subject.rfc4514_string()
        names = _alternative_names(certificate)
    except (ValueError, TypeError, UnicodeError, x509.InvalidVersion, x509.UnsupportedGeneralNameType):
        raise CertificateFault("it is no X.509 certificate") from None
    uris = tuple(names.get_values_for_type(x509.UniformResourceIdentifier)) if names else ()
    dns = tuple(names.get_values_for_type(x509.DNSName)) if names else ()
    if len(uris) + len(dns) > _MAX_NAMES or UNSAFE_TEXT.search("".join((*uris, *dns, subject))):
        raise CertificateFault("it has too many names, or one with a control character")
    return Certificate(thumbprint=encode_base64url(sha256(der).digest()), uris=uris, dns=dns, subject=subject)


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    except x509.DuplicateExtension:
        raise CertificateFault("it has an extension twice") from None

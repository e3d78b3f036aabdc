"""X.509 certificates and requests as objects with the members that Go's ``crypto/x509`` gives them.

Extensions and names are written anew from what was read, which is the same bytes for everything in DER.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from warnings import catch_warnings, simplefilter

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning

from authorizer.policy.plan.builtins.calling import as_bytes
from authorizer.policy.plan.builtins.encoding import decode_base64
from authorizer.policy.plan.builtins.uris import parse_uri
from authorizer.policy.plan.values import BuiltinError, Value

_BEGIN: Final = b"-----BEGIN"
PEM = re.compile(
    rb"-----BEGIN (?P<kind>[^\r\n-]+)-----[ \t]*\r?\n"
    rb"(?P<body>[A-Za-z0-9+/=\s]*?)-----END (?P=kind)-----[ \t]*(?:\r?\n|$)"
)
"""A PEM block (RFC 7468); one with headers, as encrypted keys have, is none."""

_NAMES: Final = {
    "2.5.4.6": "Country",
    "2.5.4.10": "Organization",
    "2.5.4.11": "OrganizationalUnit",
    "2.5.4.7": "Locality",
    "2.5.4.8": "Province",
    "2.5.4.9": "StreetAddress",
    "2.5.4.17": "PostalCode",
}
_SINGLE_NAMES: Final = {"2.5.4.3": "CommonName", "2.5.4.5": "SerialNumber"}
_USAGES: Final = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
EXTENDED_USAGES: Final = {
    "2.5.29.37.0": 0,
    **{f"1.3.6.1.5.5.7.3.{number}": number for number in range(1, 10)},
    "1.3.6.1.4.1.311.10.3.3": 10,
    "2.16.840.1.113730.4.1": 11,
    "1.3.6.1.4.1.311.2.1.22": 12,
    "1.3.6.1.4.1.311.61.1.1": 13,
}
_SIGNATURES: Final = {
    "1.2.840.113549.1.1.2": 1,
    "1.2.840.113549.1.1.4": 2,
    "1.2.840.113549.1.1.5": 3,
    "1.2.840.113549.1.1.11": 4,
    "1.2.840.113549.1.1.12": 5,
    "1.2.840.113549.1.1.13": 6,
    "1.2.840.10040.4.3": 7,
    "2.16.840.1.101.3.4.3.2": 8,
    "1.2.840.10045.4.1": 9,
    "1.2.840.10045.4.3.2": 10,
    "1.2.840.10045.4.3.3": 11,
    "1.2.840.10045.4.3.4": 12,
    "1.3.101.112": 16,
}
_PSS: Final = "1.2.840.113549.1.1.10"
_PSS_HASHES: Final[Mapping[type, int]] = {hashes.SHA256: 13, hashes.SHA384: 14, hashes.SHA512: 15}
_HANDLED: Final = frozenset(
    {
        *("2.5.29.15", "2.5.29.19", "2.5.29.17", "2.5.29.30", "2.5.29.31", "2.5.29.35", "2.5.29.37", "2.5.29.14"),
        *("2.5.29.32", "2.5.29.33", "2.5.29.36", "2.5.29.54"),
    }
)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep warnings to ourselves: a serial number that is not positive, which old roots have, is for the policy."""
    with catch_warnings():
        simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def pem_blocks(data: bytes) -> list[tuple[str, bytes]]:
    """Return the kind and the DER of every PEM block in ``data``. Raises BuiltinError."""
    return [(found["kind"].decode("latin-1"), decode_base64(found["body"])) for found in PEM.finditer(data)]


def unwrapped(source: str) -> bytes:
    """Return PEM as it is, and what any other text is base64 of. Raises BuiltinError."""
    data = as_bytes(source)
    return data if data.startswith(_BEGIN) else decode_base64(data)


def _split(data: bytes) -> list[bytes]:
    """Return DER values that stand one behind the other. Raises BuiltinError."""
    found: list[bytes] = []
    while data:
        size, head = data[1] if len(data) > 1 else 0, 2
        if size & 0x80:
            head = 2 + (size & 0x7F)
            size = int.from_bytes(data[2:head]) if head <= 10 else len(data)
        if data[0] != 0x30 or len(data) < head + size or head + size < 4:
            raise BuiltinError("x509: malformed certificate")
        found.append(data[: head + size])
        data = data[head + size :]
    return found


def read_certificates(source: str) -> list[x509.Certificate]:
    """Return the certificates of PEM, or of base64 of DER or PEM. Raises BuiltinError."""
    data = unwrapped(source)
    if data.startswith(_BEGIN):
        blocks = pem_blocks(data)
        if any(kind != "CERTIFICATE" for kind, _ in blocks):
            raise BuiltinError("a PEM block is not a certificate")
        data = b"".join(der for _, der in blocks)
    try:
        with _quietly():
            return [x509.load_der_x509_certificate(each) for each in _split(data)]
    except ValueError:
        raise BuiltinError("x509: malformed certificate") from None


def read_request(source: str) -> x509.CertificateSigningRequest:
    """Return the certificate request of PEM, or of base64 of DER or PEM. Raises BuiltinError."""
    data = unwrapped(source)
    if data.startswith(_BEGIN):
        blocks = pem_blocks(data)
        if not blocks or blocks[0][0] != "CERTIFICATE REQUEST":
            raise BuiltinError("invalid PEM-encoded certificate signing request")
        data = blocks[0][1]
    try:
        return x509.load_der_x509_csr(data)
    except ValueError:
        raise BuiltinError("x509: malformed certificate request") from None


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _numbers(oid: x509.ObjectIdentifier) -> list[int]:
    return [int(part) for part in oid.dotted_string.split(".")]


def _name(name: x509.Name) -> dict[str, Value]:
    told: dict[str, Value] = dict.fromkeys([*_NAMES.values(), "ExtraNames"])
    told |= dict.fromkeys(_SINGLE_NAMES.values(), "")
    listed: list[Value] = []
    for attribute in name:
        oid = attribute.oid.dotted_string
        value = attribute.value if isinstance(attribute.value, str) else _base64(attribute.value)
        listed.append({"Type": _numbers(attribute.oid), "Value": value})
        if oid in _SINGLE_NAMES:
            told[_SINGLE_NAMES[oid]] = value
        elif oid in _NAMES:
            told[_NAMES[oid]] = [*(told[_NAMES[oid]] or []), value]
    return told | {"Names": listed or None}


def public_members(public: object) -> tuple[int, Value]:
    """Return the number of a key's algorithm, and the key."""
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return 1, {"N": numbers.n, "E": numbers.e}
    if isinstance(public, dsa.DSAPublicKey):
        values = public.public_numbers()
        group = values.parameter_numbers
        return 2, {"P": group.p, "Q": group.q, "G": group.g, "Y": values.y}
    if isinstance(public, ec.EllipticCurvePublicKey):
        point = public.public_numbers()
        return 3, {"Curve": {}, "X": point.x, "Y": point.y}
    if isinstance(public, ed25519.Ed25519PublicKey):
        return 4, _base64(public.public_bytes(Encoding.Raw, PublicFormat.Raw))
    return 0, None


def _signature_algorithm(signed: x509.Certificate | x509.CertificateSigningRequest) -> int:
    oid = signed.signature_algorithm_oid.dotted_string
    if oid == _PSS:
        return _PSS_HASHES.get(type(signed.signature_hash_algorithm), 0)
    return _SIGNATURES.get(oid, 0)


def _extensions(extensions: x509.Extensions) -> list[Value] | None:
    return [
        {"Id": _numbers(each.oid), "Critical": each.critical, "Value": _base64(each.value.public_bytes())}
        for each in extensions
    ] or None


def uri_members(source: str) -> dict[str, Value]:
    """Return a URI as Go tells one in JSON."""
    uri = parse_uri(source)
    return {
        "Scheme": uri.scheme,
        "Opaque": uri.opaque,
        "User": None if uri.user is None else {},
        "Host": uri.host,
        "Path": uri.path,
        "RawPath": uri.raw_path,
        "OmitHost": uri.omit_host,
        "ForceQuery": uri.force_query,
        "RawQuery": uri.raw_query,
        "Fragment": uri.fragment,
        "RawFragment": uri.raw_fragment,
    }


def _find(extensions: x509.Extensions, kind: type[Any]) -> Any:
    """Return the value of the extension of a kind, None without it."""
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _alternatives(extensions: x509.Extensions) -> dict[str, Value]:
    names = _find(extensions, x509.SubjectAlternativeName) or ()
    texts = {kind: [each.value for each in names if isinstance(each, kind)] for kind in (x509.DNSName, x509.RFC822Name)}
    uris = [each.value for each in names if isinstance(each, x509.UniformResourceIdentifier)]
    return {
        "DNSNames": texts[x509.DNSName] or None,
        "EmailAddresses": texts[x509.RFC822Name] or None,
        "IPAddresses": [str(each.value) for each in names if isinstance(each, x509.IPAddress)] or None,
        "URIs": [uri_members(each) for each in uris] or None,
    }


def _network(value: Any) -> dict[str, Value]:
    return {"IP": str(value.network_address), "Mask": _base64(value.netmask.packed)}


def _constraints(extensions: x509.Extensions) -> dict[str, Value]:
    found = _find(extensions, x509.NameConstraints)
    told: dict[str, Value] = {"PermittedDNSDomainsCritical": False}
    for side in ("Permitted", "Excluded"):
        trees = getattr(found, f"{side.lower()}_subtrees", None) or ()
        for member, kind in (
            ("DNSDomains", x509.DNSName),
            ("EmailAddresses", x509.RFC822Name),
            ("URIDomains", x509.UniformResourceIdentifier),
        ):
            told[side + member] = [each.value for each in trees if isinstance(each, kind)] or None
        told[f"{side}IPRanges"] = [_network(each.value) for each in trees if isinstance(each, x509.IPAddress)] or None
    if found is not None:
        told["PermittedDNSDomainsCritical"] = extensions.get_extension_for_class(x509.NameConstraints).critical
    return told


def _locations(extensions: x509.Extensions) -> dict[str, Value]:
    access = _find(extensions, x509.AuthorityInformationAccess) or ()
    methods: dict[str, list[str]] = {"1.3.6.1.5.5.7.48.1": [], "1.3.6.1.5.5.7.48.2": []}
    for each in access:
        if isinstance(each.access_location, x509.UniformResourceIdentifier):
            methods.setdefault(each.access_method.dotted_string, []).append(each.access_location.value)
    points = _find(extensions, x509.CRLDistributionPoints) or ()
    lists = [
        name.value
        for point in points
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]
    return {
        "OCSPServer": methods["1.3.6.1.5.5.7.48.1"] or None,
        "IssuingCertificateURL": methods["1.3.6.1.5.5.7.48.2"] or None,
        "CRLDistributionPoints": lists or None,
    }


def _policies(extensions: x509.Extensions) -> dict[str, Value]:
    listed = [each.policy_identifier for each in _find(extensions, x509.CertificatePolicies) or ()]
    limits = _find(extensions, x509.PolicyConstraints)
    skipped = _find(extensions, x509.InhibitAnyPolicy)
    told: dict[str, Value] = {
        "PolicyIdentifiers": [_numbers(each) for each in listed] or None,
        "Policies": [each.dotted_string for each in listed] or None,
        "PolicyMappings": None,
    }
    for member, number in (
        ("RequireExplicitPolicy", getattr(limits, "require_explicit_policy", None)),
        ("InhibitPolicyMapping", getattr(limits, "inhibit_policy_mapping", None)),
        ("InhibitAnyPolicy", getattr(skipped, "skip_certs", None)),
    ):
        told |= {member: number or 0, f"{member}Zero": number == 0}
    return told


def key_usage(extensions: x509.Extensions) -> int:
    """Return the bits of the key usage, 0 without it."""
    usage = _find(extensions, x509.KeyUsage)
    if usage is None:
        return 0
    # The last two say nothing, and are an error to ask for, without key agreement.
    names = _USAGES if usage.key_agreement else _USAGES[:7]
    return sum(1 << bit for bit, name in enumerate(names) if getattr(usage, name))


def _usages(extensions: x509.Extensions) -> dict[str, Value]:
    listed: Iterable[x509.ObjectIdentifier] = _find(extensions, x509.ExtendedKeyUsage) or ()
    known = [EXTENDED_USAGES[each.dotted_string] for each in listed if each.dotted_string in EXTENDED_USAGES]
    unknown = [_numbers(each) for each in listed if each.dotted_string not in EXTENDED_USAGES]
    return {
        "KeyUsage": key_usage(extensions),
        "ExtKeyUsage": known or None,
        "UnknownExtKeyUsage": unknown or None,
    }


def _authority(extensions: x509.Extensions) -> dict[str, Value]:
    basic = _find(extensions, x509.BasicConstraints)
    length = None if basic is None else basic.path_length
    subject, issuer = _find(extensions, x509.SubjectKeyIdentifier), _find(extensions, x509.AuthorityKeyIdentifier)
    return {
        "BasicConstraintsValid": basic is not None,
        "IsCA": basic is not None and basic.ca,
        "MaxPathLen": 0 if basic is None else -1 if length is None else length,
        "MaxPathLenZero": length == 0,
        "SubjectKeyId": None if subject is None else _base64(subject.digest),
        "AuthorityKeyId": _base64(issuer.key_identifier) if issuer and issuer.key_identifier else None,
    }


def _serial_number(certificate: x509.Certificate) -> int:
    with _quietly():
        return certificate.serial_number


def certificate_members(certificate: x509.Certificate, *, uri_strings: bool) -> dict[str, Value]:
    """Return a certificate's members, with ``URIStrings`` if they are wanted. Raises BuiltinError."""
    try:
        extensions = certificate.extensions
        public = certificate.public_key()
        algorithm, key = public_members(public)
        told = {
            "Raw": _base64(certificate.public_bytes(Encoding.DER)),
            "RawTBSCertificate": _base64(certificate.tbs_certificate_bytes),
            "RawSubjectPublicKeyInfo": _base64(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
            "RawSubject": _base64(certificate.subject.public_bytes()),
            "RawIssuer": _base64(certificate.issuer.public_bytes()),
            "Signature": _base64(certificate.signature),
            "SignatureAlgorithm": _signature_algorithm(certificate),
            "PublicKeyAlgorithm": algorithm,
            "PublicKey": key,
            "Version": certificate.version.value + 1,
            "SerialNumber": _serial_number(certificate),
            "Issuer": _name(certificate.issuer),
            "Subject": _name(certificate.subject),
            "NotBefore": certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "NotAfter": certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Extensions": _extensions(extensions),
            "ExtraExtensions": None,
            "UnhandledCriticalExtensions": unhandled(extensions) or None,
            **_usages(extensions),
            **_authority(extensions),
            **_alternatives(extensions),
            **_locations(extensions),
            **_constraints(extensions),
            **_policies(extensions),
        }
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise BuiltinError("x509: malformed certificate") from None
    if uri_strings:
        names = _find(extensions, x509.SubjectAlternativeName) or ()
        told["URIStrings"] = [each.value for each in names if isinstance(each, x509.UniformResourceIdentifier)] or None
    return told


def unhandled(extensions: x509.Extensions) -> list[Value]:
    """Return the identifiers of critical extensions that nobody here knows."""
    return [_numbers(each.oid) for each in extensions if each.critical and each.oid.dotted_string not in _HANDLED]


def request_members(request: x509.CertificateSigningRequest) -> dict[str, Value]:
    """Return the members of a certificate request. Raises BuiltinError."""
    try:
        extensions = request.extensions
        public = request.public_key()
        algorithm, key = public_members(public)
        listed = _extensions(extensions)
        asked = None
        if listed:
            inner = [{"Type": each["Id"], "Value": each["Value"]} for each in listed]
            asked = [{"Type": [1, 2, 840, 113549, 1, 9, 14], "Value": [inner]}]
        return {
            "Raw": _base64(request.public_bytes(Encoding.DER)),
            "RawTBSCertificateRequest": _base64(request.tbs_certrequest_bytes),
            "RawSubjectPublicKeyInfo": _base64(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
            "RawSubject": _base64(request.subject.public_bytes()),
            "Version": 0,
            "Signature": _base64(request.signature),
            "SignatureAlgorithm": _signature_algorithm(request),
            "PublicKeyAlgorithm": algorithm,
            "PublicKey": key,
            "Subject": _name(request.subject),
            "Attributes": asked,
            "Extensions": listed,
            "ExtraExtensions": None,
            **_alternatives(extensions),
        }
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise BuiltinError("x509: malformed certificate request") from None

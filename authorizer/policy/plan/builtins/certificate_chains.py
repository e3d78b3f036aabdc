"""Whether certificates form a chain to a root that the policy gives (RFC 5280, section 6, as far as Go checks it).

Stricter than Go: a chain through an authority with name constraints is not verified.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from msgspec import Struct

from authorizer.policy.plan.builtins.certificates import EXTENDED_USAGES, key_usage, unhandled
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import BuiltinError, Set, Value

_CHECKING: Final = 400
_CERT_SIGN: Final = 32
_USAGES: Final = (
    *("Any", "ServerAuth", "ClientAuth", "CodeSigning", "EmailProtection", "IPSECEndSystem", "IPSECTunnel"),
    *("IPSECUser", "TimeStamping", "OCSPSigning", "MicrosoftServerGatedCrypto", "NetscapeServerGatedCrypto"),
    *("MicrosoftCommercialCodeSigning", "MicrosoftKernelCodeSigning"),
)
_NUMBERS: Final = {f"KeyUsage{name}": number for number, name in enumerate(_USAGES)}
_ANY: Final = 0


class Demands(Struct):
    """What a leaf must be good for: a point in time in nanoseconds, a host or address, and one of some usages."""

    now_ns: int
    name: str = ""
    usages: tuple[int, ...] = (1,)


def demands(context: Context, options: Mapping[Any, Value]) -> Demands:
    """Return what the options of a policy demand. Raises BuiltinError."""
    wanted = Demands(context.now_ns)
    for name, value in options.items():
        if type(name) is not str:
            continue
        if name == "DNSName" and type(value) is str:
            wanted.name = value.strip('"')
        elif name == "CurrentTime" and type(value) is int and -(2**63) <= value < 2**63:
            wanted.now_ns = value
        elif name == "MaxConstraintComparisons" and type(value) is int:
            continue  # there are no comparisons: chains with constraints are not verified
        elif name == "KeyUsages" and type(value) in {list, Set}:
            names = [each.strip('"') for each in value if type(each) is str]
            if not _NUMBERS.keys() >= set(names):
                raise BuiltinError("invalid entries for 'KeyUsages' found")
            wanted.usages = tuple(_NUMBERS[each] for each in names) or wanted.usages
        else:
            raise BuiltinError("invalid key option")
    return wanted


def chain(context: Context, certificates: Sequence[x509.Certificate], wanted: Demands) -> list[x509.Certificate]:
    """Return the chain from the last certificate, the leaf, to the first, the root. Raises BuiltinError."""
    if len(certificates) < 2:
        raise BuiltinError("must supply at least two certificates to be able to verify")
    root, *between, leaf = certificates
    try:
        found = _extend(context, [leaf], root, between, wanted)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        found = None
    if found is None or (wanted.name and not _is_for(leaf, wanted.name)) or not _usable(found, wanted.usages):
        raise BuiltinError("x509: the certificates are no chain for this use")
    return found


def _extend(
    context: Context,
    path: list[x509.Certificate],
    root: x509.Certificate,
    between: Sequence[x509.Certificate],
    wanted: Demands,
) -> list[x509.Certificate] | None:
    """Return the path extended to the root; None if there is no way."""
    last = path[-1]
    context.budget.charge(_CHECKING)
    if not _in_force(last, wanted.now_ns) or unhandled(last.extensions):
        return None
    if last == root:
        return path
    for issuer in (root, *between):
        context.budget.charge(_CHECKING)
        if issuer in path or not _is_authority(issuer, len(path) - 1) or not _issued(issuer, last):
            continue
        found = _extend(context, [*path, issuer], root, between, wanted)
        if found is not None:
            return found
    return None


def _in_force(certificate: x509.Certificate, now_ns: int) -> bool:
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now_ns // 1000)
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _is_authority(certificate: x509.Certificate, below: int) -> bool:
    """Tell whether a certificate may issue others, with so many authorities already below it."""
    extensions = certificate.extensions
    kinds = {type(each.value) for each in extensions}
    if x509.BasicConstraints not in kinds or x509.NameConstraints in kinds:
        return False
    basic = extensions.get_extension_for_class(x509.BasicConstraints).value
    if not basic.ca or (basic.path_length is not None and below > basic.path_length):
        return False
    return x509.KeyUsage not in kinds or bool(key_usage(extensions) & _CERT_SIGN)


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _usable(path: Sequence[x509.Certificate], usages: Sequence[int]) -> bool:
    """Tell whether one of the usages is allowed by every certificate of the path that says anything about usage."""
    if _ANY in usages:
        return True
    left = set(usages)
    for certificate in path:
        for each in certificate.extensions:
            if isinstance(each.value, x509.ExtendedKeyUsage):
                allowed = {EXTENDED_USAGES.get(oid.dotted_string, -1) for oid in each.value}
                if _ANY not in allowed:
                    left &= allowed
    return bool(left)


def _is_for(certificate: x509.Certificate, name: str) -> bool:
    """Tell whether a certificate is for a host or an address (RFC 6125, section 6.4), the common name aside."""
    names: Sequence[x509.GeneralName] = next(
        (list(each.value) for each in certificate.extensions if isinstance(each.value, x509.SubjectAlternativeName)), []
    )
    try:
        address = ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return any(isinstance(each, x509.DNSName) and _matches(each.value, name) for each in names)
    return any(isinstance(each, x509.IPAddress) and each.value == address for each in names)


def _matches(pattern: str, name: str) -> bool:
    labels, wanted = pattern.lower().split("."), name.lower().removesuffix(".").split(".")
    if not all(labels) or not all(wanted) or len(labels) != len(wanted):
        return False
    first = labels[0] == wanted[0] or (labels[0] == "*" and len(labels) > 1)
    return first and labels[1:] == wanted[1:]

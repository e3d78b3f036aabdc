"""TLS of the gRPC door: HTTP/2 by ALPN, client certificates by name, files that are read again when they change.

Sources: RFC 9113 section 9.2 (TLS 1.2 at least, without its compression, renegotiation and old ciphers), RFC 9525 (the
names in a certificate are its subject alternative names).
"""

import ssl
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from msgspec import Struct

from authorizer.errors import ListenError

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class Tls(Struct, frozen=True, kw_only=True):
    """``certificate`` and ``key`` are ours, PEM files.

    With ``client_ca`` (PEM) a client must show a certificate of that authority; with ``client_names`` one that has one
    of these subject alternative names: ``spiffe://...`` and other URIs, DNS names, exactly as they stand.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None
    client_names: frozenset[str] = frozenset()


Stamp = tuple[tuple[int, int, int], ...]
"""What tells one state of the files from another."""


def stamp(tls: Tls) -> Stamp:
    """Return the state of the files: inode, size, time of change; zeros for one that cannot be seen."""
    return tuple(_state(file) for file in (tls.certificate, tls.key, tls.client_ca) if file is not None)


def context(tls: Tls) -> ssl.SSLContext:
    """Read the files. Raises ListenError AZ707 when they cannot be used."""
    if tls.client_names and tls.client_ca is None:
        raise ListenError("AZ707", "client names without an authority", hint="name the authority of the clients")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    made.set_ciphers(_CIPHERS)
    made.set_alpn_protocols(["h2"])
    try:
        made.load_cert_chain(tls.certificate, tls.key, password=_no_password)
        if tls.client_ca is not None:
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(tls.client_ca)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ListenError("AZ707", f"the TLS files cannot be used: {_reason(error)}", hint="PEM files") from error
    return made


def expires(tls: Tls) -> float:
    """Return when (POSIX seconds) the first certificate of our chain expires; infinity where that cannot be read."""
    try:
        chain = x509.load_pem_x509_certificates(tls.certificate.read_bytes())
        return min(found.not_valid_after_utc.timestamp() for found in chain)
    except (OSError, ValueError):  # what OpenSSL takes, this reader may not: that is no reason not to serve
        return inf


def refused(tls: Tls, session: ssl.SSLObject) -> str:
    """Return the name of what is wrong with a client after the handshake, empty when nothing is."""
    if session.selected_alpn_protocol() != "h2":
        return "tls_alpn"
    if tls.client_names and tls.client_names.isdisjoint(_names(session.getpeercert() or {})):
        return "tls_client_name"
    return ""


def _names(certificate: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(value for kind, value in certificate.get("subjectAltName", ()) if kind in {"URI", "DNS"})


def _state(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns


def _no_password() -> str:
    raise ValueError("the key has a password")


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)

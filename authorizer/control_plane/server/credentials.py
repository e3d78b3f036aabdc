"""Who may ask the control plane: authorizers (read bundles, report) and admins (everything)."""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from hmac import compare_digest
from pathlib import Path
from typing import Literal

from authorizer.control_plane.server.private_files import create, read
from authorizer.errors import ControlPlaneError

Role = Literal["authorizer", "admin"]
ROLES: tuple[Role, ...] = ("authorizer", "admin")

MIN_LENGTH = 20
"""Characters: 20 of base64url carry 120 bits."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # token68 of RFC 9110 section 11.2
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)

Credentials = Mapping[bytes, Role]
"""SHA-256 of each credential -> the role that it proves. The credentials themselves are not kept."""


def accept(tokens: Mapping[Role, str]) -> Credentials:
    """Take the credentials into use; raise ControlPlaneError AZ583 for one that is weak, malformed or used twice."""
    accepted: dict[bytes, Role] = {}
    for role, token in tokens.items():
        if len(token) < MIN_LENGTH or not _TOKEN.fullmatch(token):
            raise ControlPlaneError(
                "AZ583",
                f"the credential of role {role} cannot be used",
                hint=f"give at least {MIN_LENGTH} characters of A-Z a-z 0-9 . _ ~ + / -",
            )
        accepted[_digest(token)] = role
    if len(accepted) != len(tokens):
        raise ControlPlaneError("AZ583", "two roles have the same credential", hint="give each its own")
    return accepted


def role_of(credentials: Credentials, authorization: Sequence[str]) -> Role | None:
    """Return the role that the Authorization header lines prove (RFC 6750 section 2.1), or None.

    INVARIANT: every credential is compared, each in constant time; more than one line proves nothing.
    """
    found = _BEARER.fullmatch(authorization[0]) if len(authorization) == 1 else None
    shown = _digest(found[1]) if found else b""
    role: Role | None = None
    for known, proven in credentials.items():
        if compare_digest(known, shown):
            role = proven
    return role


def load(role: Role, *, file: Path | None, value: str | None, state: Path) -> tuple[str, Path | None]:
    """Find the credential of ``role``: in ``file``, as ``value``, or else in the state directory, where one is made.

    Returns it with the file that was made now, if one was. Raises ControlPlaneError AZ584 when a file fails.
    """
    if file is not None:
        return _text(file), None
    if value is not None:
        return value, None
    kept = state / f"{role}.token"
    if kept.exists():
        return _text(kept), None
    token = secrets.token_urlsafe(32)
    create(kept, f"{token}\n".encode())
    return token, kept


def _text(file: Path) -> str:
    return read(file, 4096).decode("ascii", "replace").strip()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

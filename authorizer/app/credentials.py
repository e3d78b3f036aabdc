"""What the settings say of credentials, as the decision takes it; and the store of proofs that were shown."""

import logging
import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from authorizer import files
from authorizer.app.replays import Replays
from authorizer.errors import IdentityProviderError, KeyMaterialError
from authorizer.jose.encoding import encode_json
from authorizer.jose.sign import load_private, public_jwk
from authorizer.model import PERFORMED
from authorizer.pdp.api_keys import MIN_SECRET
from authorizer.pdp.assertions import Asserting
from authorizer.pdp.certificates import Place
from authorizer.pdp.credentials import KeyPlaces
from authorizer.pdp.proofs import Proofs
from authorizer.pdp.snapshot import Options
from authorizer.pdp.trust import Trust, unknown_clients
from authorizer.settings import CERTIFICATE_HEADERS, Assertion, ClientCertificate, Settings
from authorizer.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from authorizer.app.shared_replays import SharedReplays

log = logging.getLogger("authorizer.app")

_FILE = "proofs"


def options(settings: Settings) -> Options:
    """Return what the operator chose of a snapshot. Raises KeyMaterialError AZ432 for a secret that cannot be used."""
    asked = settings.credentials
    return Options(
        realm=settings.realm,
        identity_headers=settings.identity_headers,
        performs=PERFORMED if settings.log.decisions else frozenset(),
        key_places=KeyPlaces(asked.api_key_header.lower(), asked.api_key_parameter),
        pepper=read_secret(asked.pepper_file),
        proofs=Proofs(
            algorithms=frozenset(asked.dpop.algorithms),
            lifetime=asked.dpop.lifetime_seconds,
            leeway=asked.dpop.leeway_seconds,
            scheme=asked.dpop.scheme,
            nonce_key=read_secret(asked.dpop.nonce_key_file),
        ),
        asserting=_asserting(settings.assertion),
        chance=os.urandom,
        rego_budget=settings.rego_budget,
        certificates={
            "grpc": _place(settings.ext_authz.client_certificate),
            "http": _place(settings.forward_auth.client_certificate),
        },
    )


def replays(settings: Settings) -> "Replays | SharedReplays | None":
    """Return the store of proofs, which all workers share: in Redis, or in the state directory. None without one.

    Raises KeyMaterialError AZ433 when it cannot be used.
    """
    asked = settings.credentials.dpop
    if asked.store:
        try:
            shared = import_module("authorizer.app.shared_replays")
        except ModuleNotFoundError:
            why, hint = "credentials.dpop.store needs the package redis", "pip install 'authorizer[redis]'"
            raise KeyMaterialError("AZ433", why, hint=hint) from None
        store: SharedReplays = shared.open_store(asked.store, asked.store_seconds, asked.store_password_file)
        return store
    if not settings.state:
        return None
    path = Path(settings.state) / _FILE
    try:
        return Replays(path, settings.credentials.dpop.entries)
    except OSError as error:
        raise KeyMaterialError("AZ433", f"the store of proofs {str(path)!r} cannot be used: {error.strerror}") from None


def _asserting(asked: Assertion) -> Asserting | None:
    if not asked.key_files:
        return None
    pem = _pem(asked.key_files[0])
    return Asserting(
        key=load_private(pem, asked.algorithm),
        key_id=str(public_jwk(pem, asked.algorithm)["kid"]),
        algorithm=asked.algorithm,
        issuer=asked.issuer,
        seconds=asked.seconds,
        audiences=asked.audiences,
    )


def published(asked: Assertion) -> bytes:
    """Return the key set (RFC 7517) that assertions are checked with. Raises KeyMaterialError."""
    keys = [public_jwk(_pem(file), asked.algorithm) for file in asked.key_files]
    return encode_json({"keys": keys})


def _pem(name: str) -> bytes:
    try:
        return files.read_secret(Path(name), 1)
    except (OSError, ValueError) as error:
        raise KeyMaterialError("AZ434", f"a key of assertions cannot be used: {error}") from None


def _place(told: ClientCertificate) -> Place:
    header = told.header.lower() or CERTIFICATE_HEADERS.get(told.form, "")
    return Place(form=told.form, header=header, hops=told.hops)


def tell_unknown_clients(trust: Trust, settings: Settings, metrics: Metrics) -> None:
    """Log and show which issuers in force would be asked as a client that the settings lack.

    Their tokens are denied. It is told as soon as they are in force, and not when the first token comes.
    """
    unknown = unknown_clients(trust, settings.identity_providers.clients)
    metrics.lacks_clients(len(unknown))
    for issuer, client in unknown:
        log.error("%s", no_client(issuer, client))


def no_client(issuer: str, client: str) -> IdentityProviderError:
    """Return what there is to say of an issuer whose client the settings lack."""
    what = f"issuer {issuer!r} is asked as {client!r}, which identity_providers.clients lacks: such tokens are denied"
    return IdentityProviderError("AZ537", what, hint=f"set identity_providers.clients.{client}")


def read_secret(name: str, at_least: int = MIN_SECRET) -> bytes:
    """Return the secret in a file, empty without a name. Raises KeyMaterialError AZ432."""
    if not name:
        return b""
    try:
        return files.read_secret(Path(name), at_least)
    except (OSError, ValueError) as error:
        raise KeyMaterialError("AZ432", f"a secret cannot be used: {error}", hint="openssl rand -hex 32") from None

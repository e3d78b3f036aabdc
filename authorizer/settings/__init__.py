"""The configuration of ``authorizer serve``: strict, with the place of whatever is wrong."""

from authorizer.settings.knobs import (
    CERTIFICATE_HEADERS,
    IDENTITY_HEADERS,
    Admin,
    BundleKey,
    ClientCertificate,
    ControlPlane,
    Credentials,
    Discovery,
    Dpop,
    ExtAuthz,
    ForwardAuth,
    IdentityProviders,
    Log,
    ProviderClient,
    Settings,
    Tls,
)
from authorizer.settings.reading import ENVIRONMENT_PREFIX, load, reference

__all__ = [
    "CERTIFICATE_HEADERS",
    "ENVIRONMENT_PREFIX",
    "IDENTITY_HEADERS",
    "Admin",
    "BundleKey",
    "ClientCertificate",
    "ControlPlane",
    "Credentials",
    "Discovery",
    "Dpop",
    "ExtAuthz",
    "ForwardAuth",
    "IdentityProviders",
    "Log",
    "ProviderClient",
    "Settings",
    "Tls",
    "load",
    "reference",
]

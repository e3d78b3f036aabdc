"""How an API server is reached and in whose name: the account of a pod, or a kubeconfig.

Only what proves an identity by itself is taken: a token, or a client certificate. Programs that a kubeconfig would
have run (``exec``), passwords, proxies and unverified TLS are refused.
"""

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from msgspec import Struct

from authorizer.errors import DiscoveryError

IN_CLUSTER = "in-cluster"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MAX_FILE = 1 << 20

_REFUSED_USER = frozenset(
    {"exec", "auth-provider", "username", "password", "as", "as-uid", "as-groups", "as-user-extra"}
)
_REFUSED_CLUSTER = frozenset({"insecure-skip-tls-verify", "proxy-url"})


class Access(Struct, frozen=True):
    """``server`` is the address without a path's last slash. ``token`` reads the bearer token, "" for none."""

    server: str
    tls: ssl.SSLContext | None
    token: Callable[[], str]
    server_name: str | None = None


def access(where: str, *, account: Path = ACCOUNT, environment: Mapping[str, str] = os.environ) -> Access:
    """Return how to reach the API server: ``in-cluster``, or the path of a kubeconfig.

    Raises DiscoveryError AZ607 for what cannot be read, is incomplete, or is refused.
    """
    return _in_cluster(account, environment) if where == IN_CLUSTER else _kubeconfig(Path(where))


def _in_cluster(account: Path, environment: Mapping[str, str]) -> Access:
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise _refused("this is no pod: KUBERNETES_SERVICE_HOST is unset", "name a kubeconfig")
    tls = _tls(_text(account / "ca.crt"))
    address = f"[{host}]" if ":" in host else host
    token = account / "token"
    _text(token)
    # The token is renewed under the same name about every hour.
    return Access(f"https://{address}:{port}", tls, lambda: _text(token).strip())


def _kubeconfig(path: Path) -> Access:
    try:
        config = yaml.safe_load(_text(path))
    except (yaml.YAMLError, RecursionError, ValueError):
        raise _refused(f"{path} is not YAML") from None
    context = _named(config, "contexts", _member(config, "current-context"), "context")
    cluster = _named(config, "clusters", _member(context, "cluster"), "cluster")
    user = _named(config, "users", _member(context, "user"), "user")
    refused = {*(_REFUSED_USER & user.keys()), *(name for name in _REFUSED_CLUSTER if cluster.get(name))}
    if said := sorted(refused):
        raise _refused(f"{path}: {', '.join(said)} is not taken", "use a token or a client certificate")
    server = _member(cluster, "server").rstrip("/")
    parts = urlsplit(server)
    near = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    if parts.scheme != "https" and not (parts.scheme == "http" and near):
        raise _refused(f"{path}: the server {server!r} is not https")
    authority = _content(path.parent, cluster, "certificate-authority")
    tls = None
    if parts.scheme == "https":
        tls = _tls(authority.decode("ascii", "replace") if authority else None)
        certificate, key = (_content(path.parent, user, name) for name in ("client-certificate", "client-key"))
        if certificate and key:
            _identify(tls, certificate, key)
    name = cluster.get("tls-server-name")
    return Access(server, tls, _token(path.parent, user), name if isinstance(name, str) else None)


def _token(directory: Path, user: Mapping[str, Any]) -> Callable[[], str]:
    if isinstance(file := user.get("tokenFile"), str):
        return lambda: _text(directory / file).strip()
    token = user.get("token", "")
    if not isinstance(token, str) or not token.isprintable():
        raise _refused("the token of the kubeconfig is no text")
    return lambda: token


def _identify(tls: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # OpenSSL reads keys from files only; this one is the owner's alone and gone at once.
    with tempfile.TemporaryDirectory() as directory:
        pem = Path(directory) / "client.pem"
        pem.touch(mode=0o600)
        pem.write_bytes(certificate + b"\n" + key)
        try:
            tls.load_cert_chain(pem, password=lambda: b"")
        except (ssl.SSLError, OSError):
            raise _refused("the client certificate or its key cannot be used") from None


def _tls(authority: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=authority)
    except (ssl.SSLError, ValueError):
        raise _refused("the certificate of the authority cannot be used") from None


def _content(directory: Path, holder: Mapping[str, Any], name: str) -> bytes:
    if isinstance(data := holder.get(f"{name}-data"), str):
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise _refused(f"{name}-data is not base64") from None
    file = holder.get(name)
    return _text(directory / file).encode() if isinstance(file, str) else b""


def _named(config: Any, plural: str, name: str, member: str) -> Mapping[str, Any]:
    entries = config.get(plural) if isinstance(config, dict) else None
    for each in entries if isinstance(entries, list) else []:
        if isinstance(each, dict) and each.get("name") == name and isinstance(found := each.get(member), dict):
            return found
    raise _refused(f"the kubeconfig has no {member} {name!r}")


def _member(holder: Any, name: str) -> str:
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, str) or not value:
        raise _refused(f"the kubeconfig does not say {name}")
    return value


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
        if len(content) <= MAX_FILE:
            return content.decode()
    except OSError as error:
        raise _refused(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        pass
    raise _refused(f"{path} is no text, or too long")


def _refused(what: str, hint: str = "") -> DiscoveryError:
    return DiscoveryError("AZ607", what, hint=hint)

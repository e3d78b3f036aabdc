"""Requests signed for AWS (Signature Version 4), for policies whose answer is a request that another program sends."""

import hmac
from collections.abc import Mapping
from datetime import UTC
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

from authorizer.policy.plan.builtins.calling import (
    Builtin,
    as_bytes,
    contextual,
    mapping,
    number,
    spend,
    wrong_operand,
    wrong_type,
)
from authorizer.policy.plan.builtins.encoding import json_text, measure
from authorizer.policy.plan.builtins.golayout import local
from authorizer.policy.plan.builtins.uris import PATH_SAFE, Uri, parse_uri
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import Value

_CONFIGURED: Final = ("aws_access_key", "aws_region", "aws_secret_access_key", "aws_service")
_UNSIGNED: Final = frozenset({"authorization", "user-agent", "x-amzn-trace-id"})
_SIGNING: Final = 400
_WITH_DIGEST: Final = frozenset({"s3", "glacier"})
_REQUIRED: Final = frozenset({"method", "url"})
_TLS: Final = (
    *("ca_cert", "ca_cert_file", "ca_cert_env_variable", "client_cert", "client_cert_file"),
    *("client_cert_env_variable", "client_key", "client_key_file", "client_key_env_variable"),
    *("insecure_skip_verify", "server_name", "use_system_certs"),
)
_ALLOWED: Final = _REQUIRED.union(
    ("body", "enable_redirect", "force_json_decode", "force_yaml_decode", "headers", "raw_body", "timeout", "cache"),
    ("force_cache", "force_cache_duration_seconds", "raise_error", "caching_mode", "max_retry_attempts"),
    ("cache_ignored_headers", *(f"tls_{name}" for name in _TLS)),
)


def _configuration(value: Value) -> Mapping[Any, Value]:
    found = mapping(value, 1)
    if any(name not in found for name in _CONFIGURED):
        raise wrong_operand(2, "missing required AWS config parameters")
    if any(type(found[name]) is not str for name in _CONFIGURED):
        raise wrong_operand(2, "invalid values for required AWS config parameters")
    if type(found.get("disable_payload_signing", False)) is not bool:
        raise wrong_operand(2, "invalid value for 'disable_payload_signing' in AWS config")
    return found


def _text(value: Value) -> str:
    return value if type(value) is str else ""


def _body(context: Context, request: Mapping[Any, Value]) -> bytes:
    if "raw_body" in request:
        return as_bytes(_text(request["raw_body"]))
    return as_bytes(json_text(context, request["body"])) if "body" in request else b""


def _sign(context: Context, request: Value, settings: Value, now: Value) -> dict[Any, Value]:
    asked = mapping(request, 1)
    known = _configuration(settings)
    at = number(now, 1)
    if type(at) is not int or not 0 <= at < 2**63:
        raise wrong_operand(3, "could not convert time_ns value into a unix timestamp")
    if not asked.keys() <= _ALLOWED or not asked.keys() >= _REQUIRED:
        raise wrong_operand(1, "missing or invalid request parameters")
    headers = asked.get("headers", {})
    if type(headers) is not dict:
        raise wrong_type(0, headers, "object")
    if any(type(asked[name]) is not str for name in _REQUIRED):
        raise wrong_operand(1, "invalid values for required request parameters")
    context.budget.charge(_SIGNING)
    measure(context, asked)
    given = {_text(name): _text(value) for name, value in headers.items()}
    uri = parse_uri(asked["url"])
    body = _body(context, asked)
    spend(context, 8 * len(body))
    digest = "UNSIGNED-PAYLOAD" if known.get("disable_payload_signing") else sha256(body).hexdigest()
    stamp = local(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    added = {"host": uri.host, "x-amz-date": stamp}
    if known["aws_service"] in _WITH_DIGEST:
        added["x-amz-content-sha256"] = digest
    if _text(known.get("aws_session_token")):
        added["x-amz-security-token"] = known["aws_session_token"]
    signed = added | {name.lower(): value for name, value in given.items() if name.lower() not in _UNSIGNED}
    authorization = _authorization(asked["method"], uri, signed, digest, stamp, known)
    return asked | {"headers": given | {"Authorization": authorization} | added}


def _authorization(
    method: str, uri: Uri, signed: Mapping[str, str], digest: str, stamp: str, known: Mapping[Any, Value]
) -> str:
    """Return the header's value, from the canonical request to the signature."""
    names = sorted(signed)
    path = uri.raw_path or quote(as_bytes(uri.path), safe=PATH_SAFE)
    lines = [f"{name}:{signed[name]}" for name in names]
    canonical = "\n".join([method, path, uri.raw_query, *lines, "", ";".join(names), digest])
    scope = f"{stamp[:8]}/{known['aws_region']}/{known['aws_service']}/aws4_request"
    covered = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256(as_bytes(canonical)).hexdigest()}"
    key = as_bytes(f"AWS4{known['aws_secret_access_key']}")
    for part in (stamp[:8], known["aws_region"], known["aws_service"], "aws4_request"):
        key = hmac.digest(key, as_bytes(part), "sha256")
    signature = hmac.digest(key, as_bytes(covered), "sha256").hex()
    credential = f"{known['aws_access_key']}/{scope}"
    return f"AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={';'.join(names)},Signature={signature}"


BUILTINS: Final[Mapping[str, Builtin]] = {"providers.aws.sign_req": contextual(_sign)}

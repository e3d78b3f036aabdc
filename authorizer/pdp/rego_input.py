"""The documents that Rego rules are told of a request in: as opa-envoy-plugin makes them, and as Cloudentity does.

The request was read as strictly as any other before (``canonical``). What could be read in two ways here, a query or a
body, refuses it.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from authorizer.grammar import BAD_ESCAPE
from authorizer.model import Identity, Reason, Request
from authorizer.pdp.query import decoded_strictly
from authorizer.pdp.rego_body import body_text, parsed_body
from authorizer.pdp.routes import Match
from authorizer.reasons import reason

Document = dict[str, Any]

_AMBIGUOUS = reason("query_ambiguous")
_VERSION = {"ext_authz": "v3", "encoding": "protojson"}


def envoy(request: Request) -> Document | Reason:
    """Return the input of opa-envoy-plugin (v1.19, ``envoyauth/request.go``).

    ``attributes`` are the members of CheckRequest that a decision knows of, in protobuf's JSON.
    """
    path, _, query = request.target.partition("?")
    parameters = _query(query)
    if isinstance(parameters, Reason):
        return parameters
    body = parsed_body(request)
    if isinstance(body, Reason):
        return body
    http: Document = {
        "method": request.method,
        "path": request.target,
        "host": request.host,
        "scheme": request.scheme,
        "headers": {
            ":authority": request.host,
            ":method": request.method,
            ":path": request.target,
            **{name: ",".join(values) for name, values in request.headers.items()},
        },
    }
    text = body_text(request)
    if text is not None:
        http["body"] = text
    source: Document = {"address": {"socketAddress": {"address": request.peer}}}
    if request.principal:
        source["principal"] = request.principal
    if request.certificate:
        source["certificate"] = request.certificate
    return {
        "attributes": {
            "source": source,
            "request": {"http": http},
            "contextExtensions": dict(request.context),
        },
        # All at once, as ``readings`` does; a line break in it was refused.
        "parsed_path": unquote(path.lstrip("/").replace("/", "\n")).split("\n"),
        "parsed_query": parameters,
        "parsed_body": body.value,
        "truncated_body": body.truncated,
        "version": _VERSION,
    }


def cloudentity(request: Request, match: Match, identity: Identity) -> Document | Reason:
    """Return the input of Cloudentity's policies: ``request``, ``authn_ctx`` and ``contexts``.

    ``authn_ctx`` are the claims of the verified token, empty without one.
    """
    path, _, query = request.target.partition("?")
    parameters = _query(query)
    if isinstance(parameters, Reason):
        return parameters
    scopes = {scope: [{"requested_name": scope, "params": []}] for scope in sorted(identity.scopes)}
    return {
        "request": {
            "method": request.method,
            "path": path,
            "path_params": {name: unquote(value) for name, value in match.params.items()},
            "query_params": parameters,
            "headers": {_canonical(name): list(values) for name, values in request.headers.items()},
            "body": body_text(request) or "",
        },
        "authn_ctx": dict(identity.claims),
        "contexts": {"scopes": scopes},
        "scopes": scopes,
    }


def decider(form: str, request: Request, match: Match, identity: Identity) -> Document | Reason:
    """Return what a rule is told that decides an application, in the form that it says: envoy or cloudentity."""
    return envoy(request) if form == "envoy" else cloudentity(request, match, identity)


def gate(
    request: Request, match: Match, identity: Identity, resource: Mapping[str, object], right: tuple[str, str]
) -> Document | Reason:
    """Return what a rule is told that a policy asks: as ``cloudentity``, and what the policies know besides."""
    told = cloudentity(request, match, identity)
    if isinstance(told, Reason):
        return told
    told["subject"] = {
        "id": identity.subject,
        "client": identity.client,
        "issuer": identity.issuer,
        "is": sorted(identity.tokens),
        "attributes": dict(identity.attributes),
    }
    told["resource"] = dict(resource)
    told["application"], told["right"] = right
    return told


def _query(query: str) -> dict[str, list[str]] | Reason:
    """Return all parameters; Go's ``url.ParseQuery`` leaves out what is malformed, and here it is refused."""
    found: dict[str, list[str]] = {}
    if BAD_ESCAPE.search(query) or ";" in query:
        return _AMBIGUOUS
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    try:
        names = decoded_strictly([name for name, _, _ in pairs])
        values = decoded_strictly([value for _, _, value in pairs])
    except UnicodeError:
        return _AMBIGUOUS
    for name, value in zip(names, values, strict=True):
        found.setdefault(name, []).append(value)
    return found


def _canonical(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))

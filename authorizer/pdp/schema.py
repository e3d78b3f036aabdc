"""The documents as JSON Schema (draft 2020-12), for the completion and the first warnings of editors.

It tells keys and words, not meaning: what it refuses the checker refuses too, but not the other way round. Scalars may
be anything that an editor's YAML makes of them, since their text counts.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from authorizer.jose.algorithms import ALGORITHMS
from authorizer.model import ASSIGNEE_KINDS, PERFORMED
from authorizer.pdp import api_keys, certificate_rules, facts, issuers
from authorizer.policy import testing
from authorizer.policy.pbac import (
    applications,
    declared,
    eligibility,
    emit,
    form,
    policies,
    rego,
    routes,
    rules,
    types,
    vocabulary,
)
from authorizer.policy.pbac.grants import ASSIGNEES, EVERYBODY
from authorizer.policy.pbac.repeats import FOR_EACH
from authorizer.reasons import ACCEPTABLE

Schema = dict[str, Any]

_TEXT: Schema = {"type": ["string", "number", "boolean"]}
_OPEN: Schema = {"type": ["string", "number", "boolean", "null"]}
_FLAG: Schema = {"enum": [True, False]}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_VALUE: Schema = {"type": ["string", "number", "boolean", "null", "array"], "items": _TEXT}
_LIST: Schema = {"type": "array"}
_TRUE: Schema = {"const": True}
_ANY: Schema = {}


def schema() -> Schema:
    """Return the schema of one document; a file may hold several."""
    kinds = {
        "Catalog": _catalog(),
        "Application": _application(),
        "Plans": _object({"plans": _named(_object({"includes": _TEXTS, "features": _TEXTS}))}, ["plans"]),
        "AssignmentPoints": _object({"id": _TEXT, "types": _TEXTS, "tree": _ref("points")}, ["types", "tree"]),
        "Policies": _object({"policies": _listed(_policy())}, ["policies"]),
        "Eligibility": _object({"rules": _listed(_rule())}, ["rules"]),
        "Issuers": _object({"issuers": _named(_issuer())}, ["issuers"]),
        "ApiKeys": _object({"keys": _named(_api_key())}, ["keys"]),
        "Certificates": _object({"certificates": _named(_certificate())}, ["certificates"]),
        "Facts": _facts(),
        "Tests": _tests(),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A document of Authorizer",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": list(kinds)}},
        "allOf": [
            {"if": {"properties": {"kind": {"const": kind}}}, "then": _with_kind(kind, body)}
            for kind, body in kinds.items()
        ],
        "$defs": {
            "condition": _condition(),
            "emit": _object({towards: _named(_TEXT) for towards in emit.TOWARDS}),
            "duties": _listed(_object({"id": _TEXT, "type": _TEXT, "properties": _named(_TEXT)}, ["id", "type"])),
            "field": _object(_keys(vocabulary.FIELD_KEYS, _field()), ["type"]),
            "points": {"type": ["object", "string", "null"], "additionalProperties": _ref("points")},
            "rule": _rule_of_route(nested=True),
            "whom": _whom(),
        },
    }


def _object(properties: Mapping[str, Schema], required: Iterable[str] = ()) -> Schema:
    body: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    needed = list(required)
    return {**body, "required": needed} if needed else body


def _with_kind(kind: str, body: Schema) -> Schema:
    return {**body, "properties": {"kind": {"const": kind}, **body["properties"]}}


def _named(value: Schema) -> Schema:
    return {"type": "object", "additionalProperties": value}


def _listed(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _words(words: Iterable[str]) -> Schema:
    return {"enum": list(words)}


def _keys(known: Iterable[str], shapes: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return a shape for each key that a reader knows. Raises KeyError for one without a shape."""
    return {key: shapes[key] for key in known}


def _field() -> dict[str, Schema]:
    scopes = {"anyOf": [_words(vocabulary.SCOPES), _listed(_words(vocabulary.SCOPES))]}
    return {
        "type": _words(types.BASES),
        "scope": scopes,
        "values": _TEXTS,
        "ordered": _FLAG,
        "many": _FLAG,
        "default": _TEXT,
    }


def _catalog() -> Schema:
    env = _object({**_keys(vocabulary.DECLARED_ENV_KEYS, _field()), "zone": _TEXT})
    return _object(
        _keys(
            vocabulary.CATALOG_KEYS,
            {
                "acr": _TEXTS,
                "env": _named(env),
                "fields": _named(_ref("field")),
                "conditions": _named(_ref("condition")),
                "collections": _named(_object({"where": _ref("condition")}, ["where"])),
            },
        )
    )


def _application() -> Schema:
    right = {
        "on": _TEXT,
        "fields": _TEXTS,
        "feature": _TEXT,
        "global": _TEXT,
        "must_constrain": _TEXTS,
        "emit": _ref("emit"),
    }
    scope = {"anyOf": [_TEXTS, {"type": "null"}, _object({"implies": _TEXTS, "as": _TEXT})]}
    shapes = {
        "id": _TEXT,
        "model": _words(declared.MODELS),
        "system": _object({"type": _TEXT, "module": _TEXT}),
        "fields": _named(_ref("field")),
        "resourceTypes": _named(_object({"fields": _TEXTS})),
        "appResources": _named({"anyOf": [_TEXTS, _named({"anyOf": [_named(_VALUE), {"type": "null"}]})]}),
        "rights": _named(_object(_keys(applications.RIGHT_KEYS, right))),
        "roles": _named(_TEXTS),
        "scopes": _named(scope),
        "http": _http(),
        "claims": _object({"issuers": _TEXTS, "rights": _TEXT, "roles": _TEXT, "fields": _named(_TEXT)}),
        "emit": _ref("emit"),
        "conditions": _named(_ref("condition")),
        "rego": _object(
            {"entrypoint": _TEXT, "input": _words(rego.INPUTS), "bundle": _TEXT, "verify": _FLAG}, ["input"]
        ),
    }
    return _object(_keys((key for key in applications.KEYS if key != "kind"), shapes), ["id"])


def _http() -> Schema:
    shapes = {
        "right": _TEXT,
        "resource": {"type": "object", "additionalProperties": {"anyOf": [_TEXT, _named(_TEXT)]}},
        "trust": _words(["acted_on"]),
        "on_miss": _words(form.MISSES),
        "mode": _words(form.MODES),
    }
    route = _object({**_keys(routes.ROUTE_KEYS, shapes), **_rule_of_route(nested=False)["properties"]})
    return _object(
        {
            "hosts": _TEXTS,
            "routes": _named({"anyOf": [route, {"type": "null"}, _words(rules.EVERYBODY)]}),
            "accept": _listed(_words(ACCEPTABLE)),
            "unmapped": _words(form.UNMAPPED),
            "issuers": _TEXTS,
            "credentials": _words(form.CREDENTIALS),
            "client_by": _words(form.CLIENT_BY),
        },
        ["hosts"],
    )


def _rule_of_route(*, nested: bool) -> Schema:
    several = {"anyOf": [_TEXTS, _object({"any": _TEXTS, "all": _TEXTS})]}
    inner = _listed({"anyOf": [_ref("rule"), _words(rules.EVERYBODY)]})
    shapes: dict[str, Schema] = {
        **dict.fromkeys(rules.KINDS, several),
        **dict.fromkeys(rules.EVERYBODY, _TRUE),
        "any": inner,
        "all": inner,
        "where": _ref("condition"),
        "require": _require(),
    }
    return _object(_keys((word for word in rules.WORDS if not (nested and word in rules.EXTRAS)), shapes))


def _require() -> Schema:
    return _object({"acr": _TEXT, "max_age": _TEXT})


def _whom() -> Schema:
    pair = _object({"role": _TEXT, "location": _TEXT}, ["role", "location"])
    shapes = {
        kind: pair if ASSIGNEE_KINDS.get(kind) == "pairs" else _TRUE if kind in EVERYBODY else _TEXT
        for kind in ASSIGNEES
    }
    return {**_object(shapes), "minProperties": 1, "maxProperties": 1}


def _condition() -> Schema:
    operators = _object(dict.fromkeys(sorted(types.ALL_OPERATORS), _VALUE))
    parts = _listed(_ref("condition"))
    names = {"anyOf": [_ANY, _listed(_ANY)]}
    body = _object(
        {
            "any": parts,
            "all": parts,
            "not": _ref("condition"),
            "use": {"anyOf": [_TEXT, _TEXTS]},
            "is": _object(dict.fromkeys(ASSIGNEES, names)),
        }
    )
    return {**body, "patternProperties": {f"^({'|'.join(declared.SIDES)})\\.": operators}}


def _policy() -> Schema:
    shapes = {
        "id": _TEXT,
        "effect": _words(policies.EFFECTS),
        "on": _TEXT,
        "right": _TEXT,
        "role": _TEXT,
        "to": _ref("whom"),
        "at": _named(_TEXT),
        "where": _ref("condition"),
        "rego": _TEXT,
        "from": _TEXT,
        "until": _TEXT,
        "require": _require(),
        "require_feature": _FLAG,
        "reason": _TEXT,
        "overridable": _FLAG,
        "overrides": _TEXTS,
        "obligations": {"type": "array", "items": _duty(PERFORMED)},
        "advice": _ref("duties"),
        "emit": _ref("emit"),
    }
    return _object({FOR_EACH: {"type": ["object", "array"]}, **_keys(policies.ALL_KEYS, shapes)}, ["id"])


def _duty(known: Iterable[str]) -> Schema:
    return _object({"id": _TEXT, "type": _words(known), "properties": _named(_TEXT)}, ["id", "type"])


def _rule() -> Schema:
    body = {"id": _TEXT, "right": _TEXT, "role": _TEXT, "to": _ref("whom"), "at": _named(_TEXT)}
    kinds = {"type": _words(eligibility.TYPES), FOR_EACH: {"type": ["object", "array"]}}
    return _object({**body, **kinds}, ["id", "type", "to"])


def _issuer() -> Schema:
    claims = {**dict.fromkeys(issuers.CLAIM_KEYS, _OPEN), "fields": _named(_TEXT), "env": _named(_TEXT)}
    shapes = {
        "issuer": _TEXT,
        "audiences": _TEXTS,
        "audience_claim": _TEXT,
        "algorithms": _listed(_words(sorted(ALGORITHMS))),
        "jwks": _named(_ANY),
        "jwks_file": _TEXT,
        "types": _TEXTS,
        "required": _TEXTS,
        "namespace": _OPEN,
        "claims": _object(claims),
        "attributes": _named(_VALUE),
    }
    return _object({key: shapes.get(key, _ANY) for key in issuers.ISSUER_KEYS}, ["issuer", "audiences", "algorithms"])


def _api_key() -> Schema:
    shapes = {
        "hash": _TEXT,
        "is": _object(dict.fromkeys(ASSIGNEE_KINDS, _LIST)),
        "scopes": _TEXTS,
        "attributes": _named(_VALUE),
        "from": _TEXT,
        "expires": _TEXT,
    }
    return _object(_keys(api_keys.KEY_FIELDS, shapes), ["hash", "is"])


def _certificate() -> Schema:
    many = [kind for kind, number in ASSIGNEE_KINDS.items() if number == "many"]
    shapes = {
        **dict.fromkeys(certificate_rules.MATCHERS, _TEXTS),
        "trust_domain": _TEXT,
        "as": _words(["client", "person"]),
        "namespace": _OPEN,
        "is": _object(dict.fromkeys(many, _LIST)),
        "attributes": _named(_VALUE),
    }
    return _object(_keys(certificate_rules.RULE_FIELDS, shapes))


def _facts() -> Schema:
    subject = _object({"attributes": _named(_VALUE), "env": _named(_VALUE)})
    return _object(
        {
            "memberships": _named(_object(dict.fromkeys(facts.MEMBER_KINDS, _LIST))),
            "subjects": _named(subject),
            "subscriptions": _named(_named(_VALUE)),
            "lookups": _named(_named(_named(_VALUE))),
            "revoked": _object(dict.fromkeys(facts.REVOCABLE, _named(_object({"until": _TEXT}, ["until"])))),
            "max_age": _TEXT,
            "on_stale": {"type": "string"},
        }
    )


def _tests() -> Schema:
    kinds = dict.fromkeys((*ASSIGNEES, *testing.CLAIMED), _ANY)
    subject = _object({"is": _object(kinds), "attrs": _named(_VALUE), "env": _named(_VALUE)})
    # A case may have parts of its name as keys without a value: YAML reads {name: senior, otp} so.
    case = {**_object(dict.fromkeys(testing.CASE_KEYS, _ANY), ["name", "http", "expect"])}
    case["additionalProperties"] = {"type": "null"}
    case["properties"]["expect"] = _object(
        {**dict.fromkeys(testing.EXPECT_KEYS, _ANY), "decision": _words(["allow", "deny"])}, ["decision"]
    )
    shapes = {"suite": _TEXT, "now": _TEXT, "subjects": _named(subject), "cases": _listed(case)}
    return _object(_keys((key for key in testing.SUITE_KEYS if key != "kind"), shapes), ["suite", "cases"])

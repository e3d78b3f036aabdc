"""What a caller is to one application: its tokens with all that its scopes and claims imply, and its typed fields.

Made once for each identity and application; the same for every request of that identity.
"""

import re
from collections.abc import Callable, Mapping

from msgspec import Struct

from authorizer.model import Identity, assignee_token
from authorizer.policy.pbac.form import ApplicationForm, ClaimsForm
from authorizer.policy.pbac.question import BadAttribute
from authorizer.policy.pbac.types import Converter, FieldType, Value, converter

IS = "is"
"""The assignee's built-in field that holds all its tokens."""

MAX_CLAIMED = 10_000
_SCOPE = assignee_token("scope")
_LIST = "list of texts"


class Subject(Struct, frozen=True):
    """The caller of one application: assignee tokens, and typed fields, among them ``is``, all of the tokens."""

    tokens: frozenset[str]
    fields: Mapping[str, Value]


Reader = Callable[[Identity], Subject | BadAttribute]
_Fields = tuple[tuple[str, FieldType, Converter], ...]


def make_reader(title: str, application: ApplicationForm, types: tuple[FieldType, ...]) -> Reader:
    """Make the reader of an application's callers. Raises LookupError when a type or field is not there."""
    if any(not 0 <= kind < len(types) for kind in application.assignee.values()):
        raise LookupError("a type is not known")
    fields: _Fields = tuple(
        (field, types[kind], converter(types[kind])) for field, kind in application.assignee.items()
    )
    scopes = _scope_reader(application)
    claims = application.claims

    def read(identity: Identity) -> Subject | BadAttribute:
        attributes: Mapping[str, object] = identity.attributes
        tokens = identity.tokens
        if claims is not None and _counts(identity, claims):
            claimed = _claimed(title, claims, identity.claims)
            if isinstance(claimed, BadAttribute):
                return claimed
            tokens |= claimed
            attributes = {**_said(claims, identity.claims), **attributes}
        if scopes is not None:
            tokens, held = scopes(tokens)
            attributes = {**attributes, **held}
        typed: dict[str, Value] = {}
        for field, kind, convert in fields:
            raw = attributes.get(field)
            if raw is not None:
                value = convert(raw)
                if value is None:
                    return BadAttribute(f"assignee.{field}", str(kind))
                typed[field] = value
        typed[IS] = tokens
        return Subject(tokens, typed)

    return read


def _counts(identity: Identity, claims: ClaimsForm) -> bool:
    """Whether an identity's claims give rights: its issuer is listed, or none is and its names need no prefix."""
    return identity.issuer in claims.issuers if claims.issuers else not identity.namespace


def _scope_reader(
    application: ApplicationForm,
) -> Callable[[frozenset[str]], tuple[frozenset[str], dict[str, list[str]]]] | None:
    """Make what adds to tokens all that their scopes imply, and tells what stood for each ``*``."""
    if not application.scopes and not application.wildcards:
        return None
    implied = {_SCOPE + scope: [_SCOPE + one for one in all_of] for scope, all_of in application.scopes.items()}
    patterns = [
        (_SCOPE + pattern, field, re.compile("(.+)".join(map(re.escape, (_SCOPE + pattern).split("*")))))
        for pattern, field in application.wildcards.items()
    ]

    def expand(tokens: frozenset[str]) -> tuple[frozenset[str], dict[str, list[str]]]:
        found = set(tokens)
        held: dict[str, list[str]] = {}
        for token in tokens:
            if not token.startswith(_SCOPE):
                continue
            found.update(implied.get(token, ()))
            for pattern, field, matches in patterns:
                match = matches.fullmatch(token)
                if match is not None:
                    found.add(pattern)
                    found.update(implied.get(pattern, ()))
                    if field:
                        held.setdefault(field, []).append(match[1])
        return frozenset(found), held

    return expand


def _claimed(application: str, claims: ClaimsForm, said: Mapping[str, object]) -> set[str] | BadAttribute:
    """Return the rights and roles of this application that a token's claims give."""
    tokens: set[str] = set()
    for kind, claim in (("right", claims.rights), ("role", claims.roles)):
        value = _claim(said, claim) if claim else None
        if value is None:
            continue
        if not isinstance(value, list) or len(value) > MAX_CLAIMED or not all(isinstance(one, str) for one in value):
            return BadAttribute(f"claim {claim}", _LIST)
        for one in value:
            # What stands without an application is this one's; another application's names are none of it.
            tokens.add(assignee_token(kind, one if one.startswith(f"{application}/") else f"{application}/{one}"))
    return tokens


def _said(claims: ClaimsForm, said: Mapping[str, object]) -> dict[str, object]:
    values = ((field, _claim(said, path)) for field, path in claims.fields.items())
    return {field: value for field, value in values if value is not None}


def _claim(claims: Mapping[str, object], path: str) -> object:
    """Return the claim of that name or, failing it, at that dotted path; None when it is not there."""
    if path in claims:
        return claims[path]
    here: object = claims
    for step in path.split("."):
        if not isinstance(here, Mapping) or step not in here:
            return None
        here = here[step]
    return here

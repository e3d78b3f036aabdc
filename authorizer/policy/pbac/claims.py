"""Reads ``claims``: the rights, roles and fields that an application takes from tokens by itself.

What a claim grants is granted by policies like any other, made here: gates and denies stand above them.
"""

from collections.abc import Callable, Mapping

from authorizer.errors import Place
from authorizer.model import assignee_token
from authorizer.policy.documents import Node
from authorizer.policy.pbac.declared import Application, Claims, Field, Policy
from authorizer.policy.reading import Findings


def read_claims(node: Node | None, find: Callable[[str, Place], Field | None], findings: Findings) -> Claims | None:
    """Read the section. Without ``issuers`` the claims of the issuer count that has no namespace, and no other's."""
    claims = findings.fields(node, "claims", ("issuers", "rights", "roles", "fields"))
    if claims is None:
        return None
    fields = {}
    for name, key, value in findings.named(claims.get("fields"), "claims.fields"):
        field = find(name, key.place)
        path = findings.text(value, f"the claim for {name!r}")
        if field is not None and "assignee" not in field.scopes:
            findings.error("C005", key.place, f"field {name!r} has scope resource, not assignee")
        elif field is not None and path:
            fields[name] = path
    listed = claims.get("issuers")
    if listed is not None and not findings.texts(listed, "issuers"):
        findings.error("A023", listed.place, "no issuer is listed, so no claim counts", "list one, or leave it out")
    rights, roles = (findings.text(claims.get(what), what) for what in ("rights", "roles"))
    return Claims(findings.texts(listed, "issuers"), rights, roles, fields, claims.place)


def claimed_policies(application: Application, taken: Mapping[str, Policy], findings: Findings) -> list[Policy]:
    """Return a policy for each right and role that a claim may give, for whoever has it by a claim."""
    claims = application.claims
    if claims is None:
        return []
    targets = [("right", name) for name in application.rights if claims.rights and " " not in name]
    targets += [("role", name) for name in application.roles if claims.roles]
    made = []
    for kind, name in targets:
        held = [name] if kind == "right" else application.roles[name].rights
        for right in held:
            if right in application.rights and application.rights[right].must_constrain:
                message = f"a claim would grant {right!r}, which requires a constraint"
                findings.error("R010", claims.place, message, "grant it by a policy")
        policy = Policy(
            id=f"{application.id}.claims.{kind}.{name}",
            effect="allow",
            application=application.id,
            target_kind="right" if kind == "right" else "role",
            target=name,
            token=assignee_token(kind, f"{application.id}/{name}"),
            point="",
            start=None,
            end=None,
            condition=None,
            place=claims.place,
        )
        if policy.id in taken:
            findings.error(
                "R009", taken[policy.id].place, f"policy {policy.id!r} is made of claims", "choose another id"
            )
        made.append(policy)
    return made

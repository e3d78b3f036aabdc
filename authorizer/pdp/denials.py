"""Denials: of what was asked, of a credential, of a verdict; and the challenge that says what would help."""

import msgspec

from authorizer.model import ANONYMOUS, Decision, Identity, Reason, Request, StepUp, assignee_token
from authorizer.pdp.challenge import bound_challenge, challenge, proof_challenge, scope_challenge
from authorizer.pdp.credentials import by_proof
from authorizer.pdp.guards import Guard
from authorizer.pdp.proofs import nonce
from authorizer.pdp.snapshot import Snapshot
from authorizer.policy.pbac import BadAttribute, Question, Verdict
from authorizer.reasons import REASONS, authored, reason

_PROOF_CODES = frozenset(code for code in REASONS if code.startswith("proof_")) | {"token_not_bound"}


def deny(why: str | Reason, decision_id: str, *, realm: str = "", revision: str = "") -> Decision:
    """Make a denial for a built-in reason; ``revision`` is that of the policies in force, if any are."""
    if isinstance(why, str):
        why = reason(why)
    return Decision(
        reason=why,
        id=decision_id,
        detail=why.detail or why.text,
        challenge=challenge(why, realm=realm) if why.status == 401 else "",
        revision=revision,
    )


def about(decision: Decision, snapshot: Snapshot, guard: Guard, identity: Identity = ANONYMOUS) -> Decision:
    """Add to a denial which operation it was about."""
    return msgspec.structs.replace(
        decision,
        application=guard.route.application,
        operation=guard.operation,
        right=guard.route.right,
        subject=identity.subject,
        client=identity.client,
        revision=snapshot.revision,
    )


def refuse_credential(snapshot: Snapshot, why: Reason, request: Request, now: float, decision_id: str) -> Decision:
    """Make the denial of a credential: its challenge is of the scheme in which the proof is wrong."""
    refused = deny(why, decision_id, realm=snapshot.options.realm)
    proofs = snapshot.options.proofs
    if why.status == 401 and (why.code in _PROOF_CODES or by_proof(request)):
        challenged = proof_challenge(why, proofs.algorithms, realm=snapshot.options.realm)
        told = (("dpop-nonce", nonce(proofs, now)),) if proofs.nonce_key else ()
        return msgspec.structs.replace(refused, challenge=challenged, response=told)
    return refused


def deny_by(snapshot: Snapshot, guard: Guard, identity: Identity, verdict: Verdict, question: Question) -> Decision:
    """Make the denial of a verdict. Without a credential the first thing to say is: log in."""
    route = guard.route
    if verdict.allow:
        why = reason("obligation_unknown")
    elif identity is snapshot.anonymous:
        why = reason("no_credential")
    else:
        why = authored(verdict.reason) if verdict.authored else reason(verdict.reason)
    known = identity is not snapshot.anonymous
    step_up = verdict.step_up if why.code == "step_up" else None
    return Decision(
        reason=why,
        detail=verdict.detail or why.text,
        application=route.application,
        operation=guard.operation,
        right=route.right,
        subject=identity.subject,
        client=identity.client,
        policies=verdict.by,
        sources=verdict.sources,
        attributes=guard.looks_at,
        missing=verdict.missing if known else None,
        requestable=verdict.requestable if known else (),
        step_up=step_up,
        obligations=verdict.obligations,
        advice=verdict.advice,
        challenge=_challenged(snapshot, question, identity, why, step_up),
        revision=snapshot.revision,
    )


def _challenged(snapshot: Snapshot, question: Question, identity: Identity, why: Reason, step_up: StepUp | None) -> str:
    """Return the challenge of a verdict: which login is needed, or which scopes, if they are all that is lacking."""
    realm = snapshot.options.realm
    lists = question.route.application in snapshot.strangers
    if why.code == "no_credential" and (question.route.application if lists else "") in snapshot.bound_alone:
        return bound_challenge(snapshot.options.proofs.algorithms, realm=realm)
    if why.status == 401:
        return challenge(why, realm=realm, step_up=step_up, by_proof=bool(identity.bound_key))
    scopes = question.route.scopes
    issuer = snapshot.trust.issuers.get(identity.issuer)
    if why.code != "no_matching_policy" or not scopes or issuer is None:
        return ""
    if not all(scope.startswith(issuer.namespace) and not scope.startswith(issuer.foreign) for scope in scopes):
        return ""  # another issuer's
    tokens = identity.tokens.union(assignee_token("scope", scope) for scope in scopes)
    able = snapshot.program.subject(question.route.application, msgspec.structs.replace(identity, tokens=tokens))
    if isinstance(able, BadAttribute) or able.tokens == question.tokens:
        return ""
    with_scopes = msgspec.structs.replace(question, tokens=able.tokens, assignee=able.fields)
    if not snapshot.program.decide(with_scopes).allow:
        return ""
    # The caller knows its issuer's scopes without the namespace that they have here.
    asked = [scope.removeprefix(issuer.namespace) for scope in scopes]
    return scope_challenge(asked, by_proof=bool(identity.bound_key), realm=realm)

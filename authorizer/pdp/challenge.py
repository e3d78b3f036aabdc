"""The ``WWW-Authenticate`` value of a 401 (RFC 6750 section 3, RFC 9449 section 7.1, RFC 9470 section 3).

A 403 has one too where a token lacks scopes.
"""

import re
from collections.abc import Iterable, Mapping

from authorizer.model import Reason, StepUp

_UNSAFE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
# Nothing usable was presented, so there is no token to call invalid (RFC 6750 3.1, last paragraph).
_PROOF_ERRORS = {"proof_nonce": "use_dpop_nonce", "proof_key": "invalid_token", "proof_scheme": "invalid_token"}
_WITHOUT_ERROR = frozenset({"no_credential", "credential_scheme"})


def challenge(why: Reason, *, realm: str = "", step_up: StepUp | None = None, by_proof: bool = False) -> str:
    """Return the challenge for a denial: which login to bring for ``step_up``, else what is wrong with the token.

    ``by_proof``: the token came with a proof of its key, and the next one has to (RFC 9470 section 3).
    """
    parameters = {"realm": realm} if realm else {}
    if step_up is not None:
        parameters |= {"error": "insufficient_user_authentication", "error_description": why.text}
        if step_up.acr_values is not None:
            parameters["acr_values"] = step_up.acr_values
        if step_up.max_age is not None:
            parameters["max_age"] = str(step_up.max_age)
    elif why.code not in _WITHOUT_ERROR:
        parameters |= {"error": "invalid_token", "error_description": why.text}
    return _written("DPoP" if by_proof else "Bearer", parameters)


def bound_challenge(algorithms: Iterable[str], *, realm: str = "") -> str:
    """Return the challenge where any token will do that is bound, by whichever way (RFC 9449 section 7.2)."""
    parameters = {"realm": realm} if realm else {}
    proved = parameters | {"algs": " ".join(sorted(algorithms))}
    return f"{_written('Bearer', parameters)}, {_written('DPoP', proved)}"


def scope_challenge(scopes: Iterable[str], *, by_proof: bool, realm: str = "") -> str:
    """Return the challenge of a 403 for a token that lacks scopes (RFC 6750 section 3.1): all that are asked for."""
    parameters = {"realm": realm} if realm else {}
    parameters |= {"error": "insufficient_scope", "scope": " ".join(scopes)}
    return _written("DPoP" if by_proof else "Bearer", parameters)


def proof_challenge(why: Reason, algorithms: Iterable[str], *, realm: str = "") -> str:
    """Return the challenge for a token that came, or should have come, with a DPoP proof: what is wrong with either."""
    error = _PROOF_ERRORS.get(why.code, "invalid_dpop_proof" if why.category == "invalid_proof" else "invalid_token")
    parameters = {"realm": realm} if realm else {}
    parameters |= {"error": error, "error_description": why.text, "algs": " ".join(sorted(algorithms))}
    return _written("DPoP", parameters)


def _written(scheme: str, parameters: Mapping[str, str]) -> str:
    # Quotes, backslashes and everything outside printable ASCII have no place in these values (RFC 6750 section 3).
    quoted = ", ".join(f'{name}="{_UNSAFE.sub("?", value)}"' for name, value in parameters.items())
    return f"{scheme} {quoted}" if quoted else scheme

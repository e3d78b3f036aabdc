"""Every built-in reason code on one page. Policies add their own (``reason: wrong_tenant``) in the category ``policy``.

The category is what metrics and policy tests may rely on; the code says which row of the table of bad inputs, or which
step of the decision, spoke. A code is never renamed.
"""

from authorizer.model import Reason


def _family(category: str, status: int, rows: dict[str, str]) -> dict[str, Reason]:
    return {code: Reason(code, category, status, text) for code, text in rows.items()}


ALLOWED = Reason("allowed", "allowed", 200, "allowed")
UNMAPPED = Reason("unmapped", "allowed", 200, "no policy covers this operation, and its application lets such pass")

_PATH = _family(
    "bad_path",
    403,
    {
        "path_dot_segment": "the path has a dot segment",
        "path_encoded_dot_segment": "the path has an encoded dot segment",
        "path_empty_segment": "the path has an empty segment",
        "path_encoded_slash": "the path has an encoded slash or backslash",
        "path_backslash": "the path has a backslash",
        "path_parameters": "the path has ';' parameters",
        "path_control_character": "the path has a control character, a space or a byte outside ASCII",
        "path_encoded_control": "the path has an encoded control character",
        "path_malformed_escape": "the path has a malformed percent escape",
        "path_double_encoding": "the path is percent-encoded twice",
        "path_encoded_delimiter": "the path has an encoded '?' or '#'",
        "path_encoded_unreserved": "the path encodes a character that needs no encoding",
        "path_ambiguous": "the path can be read as another operation or value",
        "path_character": "the path has a character that a path may not hold",
        "path_fragment": "the request target has a fragment",
        "path_not_absolute": "the request target does not start with '/'",
        "path_missing": "the request has no path",
        "path_too_long": "the request target is too long",
        "query_ambiguous": "a query parameter that the decision reads is repeated or malformed",
    },
)
_HOST = _family(
    "bad_host",
    403,
    {
        "host_missing": "the request has no host",
        "host_malformed": "the host is malformed",
        "host_ambiguous": "the request has more than one host",
    },
)
_METHOD = _family(
    "bad_method",
    403,
    {
        "method_missing": "the request has no method",
        "method_malformed": "the method is not an HTTP token",
        "method_override": "the request overrides its method by a header or parameter",
    },
)
_HEADER = _family(
    "bad_header",
    403,
    {
        "header_repeated": "a header that the decision reads is repeated",
        "header_underscore": "a managed header is spelled with underscores",
        "header_reserved": "the request has a header that policies set, which the gateway would pass on",
        "header_hop_by_hop": "the Connection header names a managed header or the credential",
        "header_upgrade": "the request asks to go on in HTTP/2, past the gateway",
        "header_not_text": "a header that the decision reads is not text",
        "header_limit": "the request has too many or too large headers",
        "header_malformed": "a header name or value is malformed",
        "forwarded_missing": "the gateway did not send the original request",
        "forwarded_ambiguous": "the gateway's description of the original request is ambiguous",
        "peer_untrusted": "the caller is not a trusted gateway",
        "context_mismatch": "the gateway and the authorizer disagree on the API",
    },
)
_BODY = _family(
    "bad_body",
    403,
    {
        "body_missing": "the decision reads the body and the gateway sent none",
        "body_partial": "the decision reads the body and only a part of it was sent",
        "body_malformed": "the body is not well-formed JSON",
        "body_duplicate_key": "the body has a member twice",
        "body_type": "the body is not JSON in UTF-8",
        "body_limit": "the body is too large or too deep",
    },
)
_CREDENTIAL = {
    **_family("no_credential", 401, {"no_credential": "a credential is required"}),
    **_family(
        "invalid_credential",
        401,
        {
            "credential_repeated": "more than one credential was sent",
            "credential_conflict": "the credentials do not go together",
            "credential_malformed": "the credential is malformed",
            "credential_scheme": "the authorization scheme is not supported",
            "token_malformed": "the token is malformed",
            "token_too_large": "the token is too large",
            "token_algorithm": "the token's algorithm is not accepted",
            "token_header": "the token's header is not accepted",
            "token_critical": "the token has a critical header that is not understood",
            "token_type": "the token is of another type",
            "token_issuer": "the token's issuer is not trusted",
            "issuer_not_accepted": "the token's issuer is not accepted by this API",
            "token_key": "the token's key is not known",
            "token_signature": "the token's signature is wrong",
            "token_claims": "the token's claims are malformed",
            "token_audience": "the token is for another audience",
            "token_expired": "the token has expired",
            "token_not_yet": "the token is not valid yet",
            "token_lifetime": "the token lives longer than is accepted",
            "token_inactive": "the token is not active",
            "token_not_exchanged": "the token is not exchanged for one that is accepted here",
            "credential_revoked": "the credential was revoked",
            "token_unbound": "the token is bound to something that cannot be shown here",
            "token_not_bound": "the token must be bound to a key or a certificate",
            "api_key_malformed": "the API key is malformed",
            "api_key_unknown": "the API key is not known",
            "api_key_expired": "the API key has expired",
            "api_key_not_yet": "the API key is not valid yet",
        },
    ),
    **_family(
        "invalid_proof",
        401,
        {
            "proof_scheme": "the token is bound to a key: it takes the scheme DPoP, and a proof",
            "proof_missing": "the token is bound to a key, and no proof of that key was sent",
            "proof_repeated": "more than one proof was sent",
            "proof_malformed": "the proof is malformed",
            "proof_signature": "the proof's signature is wrong",
            "proof_request": "the proof is for another request",
            "proof_time": "the proof is too old, or from the future",
            "proof_token": "the proof is for another token",
            "proof_key": "the proof is of another key than the token's",
            "proof_replayed": "the proof was used before",
            "proof_nonce": "the proof needs the nonce that this answer brings",
            "certificate_missing": "the token is bound to a certificate, and none was shown",
            "certificate_other": "the token is bound to another certificate",
        },
    ),
}
_DECISION = {
    **_family("no_route", 403, {"no_route": "no policy covers this operation"}),
    **_family(
        "no_matching_policy",
        403,
        {
            "no_matching_policy": "no policy grants this",
            "rego_denied": "the Rego policy does not allow this",
            "expired": "the grant has expired",
            "not_yet": "the grant is not valid yet",
        },
    ),
    **_family("step_up", 401, {"step_up": "a stronger or fresher login is required"}),
    **_family(
        "bad_attribute",
        403,
        {
            "bad_attribute": "an attribute has the wrong type",
            "lookup_miss": "nothing is known of the resource",
            "unknown_point": "the assignment point is not known",
        },
    ),
    **_family(
        "indeterminate",
        403,
        {
            "indeterminate": "a policy could not be evaluated",
            "rego_undefined": "a Rego rule says nothing of the request",
            "rego_error": "a Rego rule could not be evaluated",
            "rego_budget": "a Rego rule costs more than an evaluation may",
            "rego_result": "a Rego rule says something that is no decision",
            "filter_limit": "the condition on the list is too large to be told",
        },
    ),
    **_family("obligation", 403, {"obligation_unknown": "the grant has an obligation that cannot be carried out"}),
    **_family(
        "unavailable",
        503,
        {
            "internal_error": "the decision failed",
            "not_ready": "no policy has been loaded yet",
            "stale": "the policies or facts are older than is accepted",
            "bad_check": "the gateway's question could not be read",
            "deadline": "the gateway's deadline has passed",
            "introspection_failed": "the token's issuer could not be asked whether it is active",
            "exchange_failed": "the token could not be exchanged for one that is accepted here",
            "keys_stale": "the keys of the token's issuer are too old, or were never fetched",
            "proof_store": "it cannot be told whether the proof was used before",
            "overload": "too much is being decided at once",
        },
    ),
}

REASONS: dict[str, Reason] = {
    ALLOWED.code: ALLOWED, UNMAPPED.code: UNMAPPED, **_PATH, **_HOST, **_METHOD, **_HEADER, **_BODY, **_CREDENTIAL,
    **_DECISION,
}  # fmt: skip

ACCEPTABLE: dict[str, str] = {
    "encoded_slash": "path_encoded_slash",
    "encoded_delimiter": "path_encoded_delimiter",
    "path_parameters": "path_parameters",
    "double_encoding": "path_double_encoding",
    "method_override": "method_override",
}
"""A word of an application's ``http.accept`` -> the denial that it waives. All other ambiguities are never accepted."""


TAKEN = frozenset(REASONS) | {reason.category for reason in REASONS.values()} | {"policy"}
"""Words that a policy cannot give as its reason: a built-in reason or a category must mean one thing."""


def reason(code: str) -> Reason:
    """Return the built-in reason. Raises KeyError for any other code, an author's own included."""
    return REASONS[code]


def authored(code: str) -> Reason:
    """Return the reason that a policy's author gave: a 403 of the category ``policy``, whatever is built in."""
    return Reason(code, "policy", 403, code.replace("_", " "))

"""What a verified token says about its sender, and how long it is remembered."""

import socket
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from authorizer.jose import sign
from authorizer.jose.encoding import read_object
from authorizer.model import ANYONE, AUTHENTICATED, Identity, Reason, assignee_token
from authorizer.pdp import facts, issuers, tokens, trust
from authorizer.pdp.memo import Memo, of_other
from authorizer.policy import documents
from tests import forge

NOW = 1_790_000_000.0
MADE = forge.material()
PEM = sign.generate("ES256")
JWKS = {"keys": [sign.public_jwk(PEM, "ES256", "k")]}


def issuer(name: str, url: str, **more: object) -> str:
    lines = {"issuer": url, "audiences": ["orders"], "algorithms": ["ES256"], "jwks": JWKS} | more
    return f"  {name}:\n" + "".join(f"    {key}: {value!r}\n" for key, value in lines.items())


def load(*rows: str) -> trust.Trust:
    compiled, problems = issuers.compile_issuers(
        documents.load("kind: Issuers\nissuers:\n" + "".join(rows), "i.yaml"), lambda _: b""
    )
    assert problems == []
    return trust.load(compiled)


CLAIMS = {
    "collection": "teams",
    "business_role_location": "brl",
    "location": "place.sites",
    "fields": {"tenant": "tenant", "limit": "limits.credit", "vip": "vip", "tags": "tags", "dotted": "a.b"},
    "env": {"risk": "risk"},
}
MAIN = load(
    issuer("main", "https://a.example", claims=CLAIMS),
    issuer("partner", "https://b.example", namespace="p/", attributes={"tenant": "fixed"}),
)
STRICT = load(
    issuer("main", "https://a.example", leeway="0", types=["at+jwt"], required=["client_id", "a.b"], max_lifetime="60")
)


def token(header: str | None = "at+jwt", **changes: object) -> str:
    claims = {"iss": "https://a.example", "aud": "orders", "sub": "ann", "iat": NOW, "exp": NOW + 60} | changes
    return sign.sign(
        {name: value for name, value in claims.items() if value is not ...}, PEM, "ES256", "k", token_type=header
    )


def verify(
    text: str, trusted: trust.Trust = MAIN, known: facts.Facts = facts.NOTHING, now: float = NOW
) -> Identity | Reason:
    return tokens.verify(text, trusted, known, Memo(), now)


def identity(known: facts.Facts = facts.NOTHING, **changes: object) -> Identity:
    found = verify(token(**changes), known=known)
    assert isinstance(found, Identity), found
    return found


def code(answer: Identity | Reason) -> str:
    return answer.code if isinstance(answer, Reason) else "ok"


class Looked(dict[str, trust.Issuer]):
    """Counts how many issuers are looked at."""

    many = 0

    def __iter__(self):
        for name in super().__iter__():
            self.many += 1
            yield name


def test_a_stranger_makes_us_look_at_few_issuers() -> None:
    issuers_ = Looked({f"https://{number:04}.example": MAIN.issuers["https://a.example"] for number in range(1000)})
    found = verify(token(), replace(MAIN, issuers=issuers_))
    assert code(found) == "token_issuer"
    assert found.detail.endswith(" https://0004.example and 995 more")
    assert issuers_.many == 5


def test_claims_become_assignee_tokens() -> None:
    found = identity(
        groups=["g1", "g2"],
        roles=["boss"],
        azp="web",
        teams=["t"],
        place={"sites": ["oslo"]},
        brl=[["uw", "oslo"], {"role": "agent", "location": "bergen"}],
    )
    assert found.tokens == {
        ANYONE,
        AUTHENTICATED,
        "person:ann",
        "client:web",
        "group:g1",
        "group:g2",
        "management_role:boss",
        "collection:t",
        "location:oslo",
        assignee_token("business_role_location", "uw", "oslo"),
        assignee_token("business_role_location", "agent", "bergen"),
    }
    assert (found.subject, found.client, found.issuer) == ("ann", "web", "https://a.example")


def test_client_id_comes_before_azp() -> None:
    assert identity(client_id="a", azp="b").client == "a"


@pytest.mark.parametrize(
    ("changes", "persons"),
    [
        ({"client_id": "ann"}, set()),
        ({"azp": "ann"}, set()),
        ({"client_id": "ann", "iss": "https://b.example"}, set()),
        ({"client_id": "Ann"}, {"person:ann"}),
        ({"client_id": "web", "azp": "ann"}, {"person:ann"}),
    ],
)
def test_a_client_of_its_own_is_no_person(changes: dict[str, object], persons: set[str]) -> None:
    found = identity(groups=["g"], **changes)
    assert {name for name in found.tokens if name.startswith("person:")} == persons
    assert found.client
    assert any(name.startswith("group:") for name in found.tokens)


def test_fields_are_texts_exactly_as_written() -> None:
    found = identity(
        limits={"credit": 250000.01},
        vip=True,
        tags=["a", 7, False],
        tenant="acme",
        risk=85,
        **{"a.b": "whole name"},
        a={"b": "path"},
    )
    assert found.attributes == {
        "limit": "250000.01",
        "vip": "true",
        "tags": ("a", "7", "false"),
        "tenant": "acme",
        "dotted": "whole name",
    }
    assert found.env == {"risk": "85"}


@pytest.mark.parametrize(
    ("number", "written"),
    [
        ("1e308", "1" + "0" * 308),
        ("-1.5E-308", "-0." + "0" * 307 + "15"),
        ("9e308", "token_malformed"),
        ("1e-309", "token_malformed"),
        ("1e-99999999", "token_malformed"),
        ("1e-99999999999999999999", "token_malformed"),
        ("0e-99999999", "token_malformed"),
        ("1" * 33, "token_malformed"),
    ],
)
def test_no_number_is_written_out_without_end(number: str, written: str) -> None:
    claims = f'{{"iss":"https://a.example","aud":"orders","sub":"ann","exp":{NOW + 60:.0f},"tags":[{number}]}}'
    found = verify(sign.sign(claims.encode(), PEM, "ES256", "k", token_type="at+jwt"))
    assert (found.attributes["tags"] if isinstance(found, Identity) else (found.code,)) == (written,)


@pytest.mark.parametrize("changes", [{"place": "oslo"}, {"place": {"sites": "oslo"}}, {"limits": [1]}, {"place": None}])
def test_a_path_through_something_else_is_a_fault(changes: dict[str, object]) -> None:
    assert code(verify(token(**changes))) == "token_claims"
    assert code(verify(token(place={}, limits={}))) == "ok"


def test_login_and_scopes() -> None:
    found = identity(acr="phr", amr=["pwd", "otp"], auth_time=NOW - 5, scope="read  write", scp=["x"])
    assert found.env == {"acr": "phr", "amr": ("pwd", "otp")}
    assert (found.auth_time, found.scopes) == (NOW - 5, {"read", "write", "x"})
    assert identity().auth_time is None


def test_each_issuer_has_names_of_its_own() -> None:
    found = identity(iss="https://b.example", groups=["sales"], client_id="web", tenant="acme")
    assert found.tokens == {ANYONE, AUTHENTICATED, "person:p/ann", "group:p/sales", "client:p/web"}
    assert (found.subject, found.client, found.attributes) == ("p/ann", "p/web", {"tenant": "fixed"})


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "p/ann"},
        {"groups": ["x", "p/sales"]},
        {"client_id": "p/"},
        {"brl": [["p/a", "b"]]},
        {"brl": [["a", "p/b"]]},
    ],
)
def test_no_issuer_reaches_into_another_namespace(changes: dict[str, object]) -> None:
    assert code(verify(token(**changes))) == "token_claims"


@pytest.mark.parametrize(
    "brl",
    ["uw", [["uw"]], [["uw", "oslo", "x"]], [["uw", 1]], ["uw"], [{"role": "uw"}], {"role": "uw", "location": "oslo"}],
)
def test_malformed_pairs(brl: object) -> None:
    assert code(verify(token(brl=brl))) == "token_claims"


FACTS = facts.load(
    {
        "memberships": {"ann": {"group": ["fact"], "management_role": []}},
        "subjects": {
            "ann": {"attributes": {"tenant": "acme"}, "env": {"risk": "85"}},
            "p/ann": {"attributes": {"tenant": "acme"}},
        },
        "subscriptions": {"acme": {"plan": "pro"}, "fixed": {"plan": "free"}},
    }
)


def test_facts_win_over_claims() -> None:
    found = identity(FACTS, groups=["token"], roles=["boss"], teams=["t"], tenant="umbrella", risk=1)
    assert found.tokens == {ANYONE, AUTHENTICATED, "person:ann", "group:fact", "collection:t"}
    assert (found.attributes, found.env) == ({"tenant": "acme", "plan": "pro"}, {"risk": "85"})
    assert identity(FACTS, sub="bob", groups=["token"]).tokens == {ANYONE, AUTHENTICATED, "person:bob", "group:token"}
    assert identity(FACTS, sub="bob", tenant="acme").attributes == {"tenant": "acme", "plan": "pro"}
    assert identity(FACTS, sub="bob", iss="https://b.example").attributes == {"tenant": "fixed", "plan": "free"}
    assert identity(FACTS, iss="https://b.example").attributes == {"tenant": "acme", "plan": "pro"}


@pytest.mark.parametrize(
    ("changes", "now", "answer"),
    [
        ({}, NOW + 89.9, "ok"),
        ({}, NOW + 90, "token_expired"),
        ({"iat": NOW + 30}, NOW, "ok"),
        ({"iat": NOW + 31}, NOW, "token_not_yet"),
        ({"nbf": NOW + 30}, NOW, "ok"),
        ({"nbf": NOW + 31}, NOW, "token_not_yet"),
        ({"exp": NOW + 86400}, NOW, "ok"),
        ({"exp": NOW + 86401}, NOW, "token_lifetime"),
        ({"iat": ..., "exp": NOW + 86401}, NOW, "token_lifetime"),
        ({"iat": ...}, NOW, "ok"),
        ({"exp": NOW + 0.5}, NOW + 30.4, "ok"),
        ({"exp": NOW + 0.5}, NOW + 30.5, "token_expired"),
    ],
)
def test_times(changes: dict[str, object], now: float, answer: str) -> None:
    assert code(verify(token(**changes), now=now)) == answer


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"aud": ..., "client_id": "orders"}, "ok"),
        ({"client_id": ["x", "orders"]}, "ok"),
        ({"client_id": "other"}, "token_audience"),
        ({}, "token_claims"),
    ],
)
def test_another_claim_can_say_the_audience(changes: dict[str, object], answer: str) -> None:
    trusted = load(issuer("main", "https://a.example", audience_claim="client_id", claims={"client": ""}))
    assert code(verify(token(**changes), trusted)) == answer


@pytest.mark.parametrize(
    ("header", "changes", "answer"),
    [
        ("at+jwt", {"client_id": "x", "a": {"b": 1}}, "ok"),
        ("application/AT+JWT", {"client_id": "x", "a.b": ""}, "ok"),
        ("JWT", {"client_id": "x", "a": {"b": 1}}, "token_type"),
        (None, {"client_id": "x", "a": {"b": 1}}, "token_type"),
        ("at+jwt", {"client_id": "x"}, "token_claims"),
        ("at+jwt", {"a": {"b": 1}}, "token_claims"),
        ("at+jwt", {"client_id": "x", "a": "b"}, "token_claims"),
        ("at+jwt", {"client_id": "x", "a": {"b": None}}, "token_claims"),
        ("at+jwt", {"client_id": "x", "a": {"b": 1}, "exp": NOW + 61}, "token_lifetime"),
    ],
)
def test_a_strict_issuer(header: str | None, changes: dict[str, object], answer: str) -> None:
    assert code(verify(token(header, **changes), STRICT)) == answer


def test_a_remembered_token_is_one_look_up_and_still_expires() -> None:
    memo = Memo()
    text = token()
    first = tokens.verify(text, MAIN, facts.NOTHING, memo, NOW)
    assert tokens.verify(text, MAIN, facts.NOTHING, memo, NOW + 89) is first
    assert code(tokens.verify(text, MAIN, facts.NOTHING, memo, NOW + 90)) == "token_expired"
    assert len(memo) == 1


def test_a_header_is_recalled_only_as_it_was_verified() -> None:
    memo = Memo()
    text = token()
    header = f"Bearer {text}"
    assert tokens.recall(header, memo, NOW) is None
    first = tokens.verify(text, MAIN, facts.NOTHING, memo, NOW)
    assert isinstance(first, Identity)
    assert tokens.recall(header, memo, NOW + 89) is first
    assert tokens.recall(header, memo, NOW + 90) is None
    for other in (
        text,
        f"bearer {text}",
        f"Bearer  {text}",
        f"{header} ",
        f"{header}\u00e9",
        f"{header}\udc80",
        "Bearer ",
    ):
        assert tokens.recall(other, memo, NOW) is None


@pytest.mark.parametrize("bound", [{"bound_key": "x"}, {"bound_certificate": "x"}])
def test_a_bound_token_is_never_recalled(bound: dict[str, str]) -> None:
    memo = Memo()
    text = token()
    tokens.verify(text, MAIN, facts.NOTHING, memo, NOW)
    for digest in memo._young:
        memo._young[digest] = Identity(**bound)
    assert tokens.recall(f"Bearer {text}", memo, NOW) is None


def test_no_header_recalls_what_is_no_token() -> None:
    memo = Memo()
    for text in ("key\0ak_1", "certificate grpc\0spiffe://x"):
        memo.keep(sha256(text.encode()).digest(), 1, Identity(subject="x"))
        assert tokens.recall(f"Bearer {text}", memo, NOW) is None


def test_a_memo_is_not_shared() -> None:
    text = token()
    assert isinstance(verify(text), Identity)
    assert code(verify(text, trust.NOBODY)) == "token_issuer"


def test_failures_are_not_remembered_and_start_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a token made the verifier open a socket or look up a name")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    compiled, _ = issuers.compile_issuers(documents.load(forge.issuers(MADE), "i.yaml"), lambda _: b"")
    trusted = trust.load(compiled)
    memo = Memo()
    before = len(trusted.issuers[forge.ISSUER].keys)
    for text in forge.flood(MADE, forge.claims(NOW), 300):
        assert code(tokens.verify(text, trusted, facts.NOTHING, memo, NOW)) == "token_key"
    for attack in forge.attacks(MADE, forge.claims(NOW)):
        assert isinstance(tokens.verify(attack.token, trusted, facts.NOTHING, memo, NOW), Reason)
    assert len(memo) == 0
    assert len(trusted.issuers[forge.ISSUER].keys) == before


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 400)), max_size=200), st.integers(1, 20), st.integers(1, 2000)
)
def test_the_memo_is_bounded(steps: list[tuple[int, int]], limit: int, characters: int) -> None:
    memo = Memo(limit, characters)
    sizes: dict[bytes, int] = {}
    for name, size in steps:
        digest = bytes([name])
        if memo.find(digest, sizes.get(digest, size)) is None:
            sizes[digest] = size
            memo.keep(digest, size, Identity(subject=str(name)))
        found = memo.find(digest, sizes[digest])
        assert found is not None
        assert found.subject == str(name)
        assert len(memo) <= max(limit, 2)
        held = [sizes[each] for each in (*memo._young, *memo._old)]
        assert sum(held) <= characters or sum(held) <= 2 * max(held)


def test_what_is_used_stays() -> None:
    memo = Memo(100)
    memo.keep(b"hot", 1, Identity(subject="hot"))
    for number in range(1000):
        memo.keep(number.to_bytes(4), 1, Identity())
        assert memo.find(b"hot", 1) is not None


@given(st.text() | st.text("abcXYZ019-_.", max_size=60))
def test_any_text_gets_an_answer(text: str) -> None:
    assert isinstance(verify(text), Reason)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAMES = [
    "iss",
    "aud",
    "sub",
    "exp",
    "iat",
    "nbf",
    "auth_time",
    "groups",
    "roles",
    "brl",
    "client_id",
    "scope",
    "scp",
    "acr",
    "amr",
    "tags",
    "a.b",
    "cnf",
    "events",
    "risk",
]


@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4))
def test_any_signed_claims_get_an_answer(changes: dict[str, object]) -> None:
    body = forge.claims(NOW, iss="https://a.example") | changes
    answer = verify(sign.sign(forge.compact(body), PEM, "ES256", "k"))
    assert isinstance(answer, Reason | Identity)


def test_a_change_of_facts_checks_no_signature_again_and_a_change_of_issuers_does(monkeypatch):
    text = token()
    memo = Memo()
    first = tokens.verify(text, MAIN, facts.NOTHING, memo, NOW)
    known = facts.load({"format": 1, "memberships": {first.subject: {"group": ["new"]}}})
    checked = []
    monkeypatch.setattr(tokens, "signature_fault", lambda *_: checked.append(1))
    following = memo.successor()
    again = tokens.verify(text, MAIN, known, following, NOW)
    assert assignee_token("group", "new") in again.tokens - first.tokens
    assert checked == []
    tokens.verify(text, MAIN, known, following.successor().successor(), NOW)
    tokens.verify(text, MAIN, known, Memo(), NOW)
    assert checked == [1, 1]
    assert code(tokens.verify(text, MAIN, known, memo.successor(), NOW + 10_000_000)) == "token_expired"
    assert checked == [1, 1, 1], "what is too old is judged anew"


def test_what_nobody_signed_is_not_read_at_length(monkeypatch):
    read = []
    monkeypatch.setattr(tokens, "read_object", lambda data: read.append(data) or read_object(data))
    signed = token(place={"sites": ["oslo"]}, more=[[[]]] * 1000)
    unsigned = ".".join((*signed.split(".")[:2], token().split(".")[2]))
    assert code(verify(unsigned)) == "token_signature"
    assert read == []
    assert code(verify(signed)) == "ok"
    assert len(read) == 1


def test_a_token_passes_for_no_other_credential_that_is_remembered():
    memo, whole = Memo(), trust.NOBODY
    holder = Identity(subject="web")
    memo.keep(of_other("key", "azk_secret"), 10, holder)
    assert memo.find(of_other("key", "azk_secret"), 10) is holder
    assert code(tokens.verify("key\0azk_secret", whole, facts.NOTHING, memo, 0.0)) == "token_malformed"


def test_the_memo_before_may_go_at_any_moment():
    class Going(Memo):
        """As when a thread that builds the next snapshot takes it away after the first look."""

        looks = 0

        @property
        def before(self):
            self.looks += 1
            return Memo() if self.looks == 1 else None

        @before.setter
        def before(self, _):
            pass

    assert isinstance(tokens.verify(token(), MAIN, facts.NOTHING, Going(), NOW), Identity)


@pytest.mark.parametrize(
    ("trusted", "changes", "expected"),
    [
        (MAIN, {"groups": "secret"}, "claim 'groups' must be a list, for it says each group"),
        (MAIN, {"groups": [""]}, "claim 'groups' must hold 1 to 1024 characters of text without controls"),
        (MAIN, {"sub": 7}, "claim 'sub' must hold 1 to 1024 characters of text without controls"),
        (MAIN, {"sub": "p/secret"}, "claim 'sub' has a name in another issuer's namespace"),
        (MAIN, {"brl": [["secret"]]}, "claim 'brl' must be a list of pairs: [role, location], or an object of both"),
        (MAIN, {"place": "secret"}, "claim 'place.sites': what stands above 'sites' is no object"),
        (MAIN, {"nbf": "secret"}, "claim 'nbf' must be a number of seconds since 1970"),
        (MAIN, {"auth_time": NOW + 999}, "claim 'auth_time' is in the future"),
        (STRICT, {"exp": ...}, "absent claims: a.b, client_id, exp"),
        (MAIN, {"iss": "secret"}, "claim 'iss' must be one of: https://a.example, https://b.example"),
        (MAIN, {"aud": "secret"}, "claim 'aud' must hold one of: orders"),
    ],
)
def test_the_log_is_told_what_was_expected_and_never_what_came(
    trusted: trust.Trust, changes: dict[str, object], expected: str
) -> None:
    found = verify(token(**changes), trusted)
    assert isinstance(found, Reason)
    assert found.detail == expected

"""API keys: made once, found by their id, told apart by their secret, refused outside of their time."""

from hmac import digest

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.model import Reason
from authorizer.pdp.api_keys import ApiKey, compile_keys, find, make
from authorizer.policy import documents

RANDOM = bytes(range(42))
PEPPER = b"a pepper of many bytes"


def row(hashed, **more):
    algorithm, _, digest = hashed.partition(":")
    return ApiKey(id="x", algorithm=algorithm, hash=digest, names={"client": ("job",)}, **more)


def answer(text, keys, pepper=b"", now=100.0):
    found = find(text, keys, pepper, now)
    return found.code if isinstance(found, Reason) else found


@pytest.mark.parametrize("pepper", [b"", PEPPER])
def test_a_key_that_was_made_is_found(pepper):
    text, name, hashed = make(RANDOM, pepper)
    assert text == f"azk_{name}_AAECAwQFBgcICQoLDA0ODw".replace("AAECAwQFBgcICQoLDA0ODw", text[21:])
    assert len(text) == 64
    key = row(hashed)
    assert answer(text, {name: key}, pepper) is key
    assert answer(text, {name: row(hashed, start=100.0, end=100.5)}, pepper).end == 100.5
    assert answer(text, {}, pepper) == "api_key_unknown"


def test_what_is_not_the_key_is_refused():
    text, name, hashed = make(RANDOM, b"")
    keys = {name: row(hashed)}
    other = make(bytes(10) + RANDOM[10:], b"")[0]
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    assert answer(wrong, keys) == "api_key_unknown"
    assert answer(other, keys) == "api_key_unknown"
    for malformed in (
        "",
        "azk_",
        text[:-1],
        text + "A",
        text.upper(),
        " " + text,
        text.replace("azk", "xyz"),
        "é" * 64,
    ):
        assert answer(malformed, keys) == "api_key_malformed"


def test_a_pepper_is_needed_where_one_was_used():
    text, name, hashed = make(RANDOM, PEPPER)
    keys = {name: row(hashed)}
    assert answer(text, keys, b"") == "api_key_unknown"
    assert answer(text, keys, b"another pepper of it") == "api_key_unknown"
    # What a pepper of no bytes would make.
    empty = f"hmac-sha256:{digest(b'', text[21:].encode(), 'sha256').hex()}"
    assert answer(text, {name: row(empty)}, b"") == "api_key_unknown"


def test_a_key_has_its_time():
    text, name, hashed = make(RANDOM, b"")
    keys = {name: row(hashed, start=200.0, end=300.0)}
    assert answer(text, keys, now=199.9) == "api_key_not_yet"
    assert answer(text, keys, now=200.0).start == 200.0
    assert answer(text, keys, now=300.0) == "api_key_expired"


@given(st.text(max_size=80))
def test_no_text_makes_it_raise(text):
    assert isinstance(find(text, {}, b"", 0.0), Reason)


def compiled(text):
    rows, problems = compile_keys(documents.load(text, "keys.yaml"))
    return rows, [f"{problem.place.line}: {problem.code}" for problem in problems]


GOOD = f"""
kind: ApiKeys
keys:
  aaaqeayeaudaocaj:
    hash: sha256:{"0a" * 32}
    is: {{client: [billing], group: [jobs, ops], business_role_location: [[clerk, pl]]}}
    scopes: [orders.read]
    attributes: {{tenant: acme, regions: [eu, us]}}
    from: 2026-01-01T00:00:00Z
    expires: 2027-01-01T00:00:00Z
"""


def test_a_document_becomes_rows():
    rows, problems = compiled(GOOD)
    assert problems == []
    key = msgspec.convert(rows[0], ApiKey)
    assert (key.id, key.algorithm, key.hash) == ("aaaqeayeaudaocaj", "sha256", "0a" * 32)
    assert key.names == {
        "client": ("billing",), "group": ("jobs", "ops"), "business_role_location": (("clerk", "pl"),),
    }  # fmt: skip
    assert (key.scopes, key.attributes) == (("orders.read",), {"tenant": "acme", "regions": ("eu", "us")})
    assert (key.start, key.end) == (1767225600.0, 1798761600.0)


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        (("sha256:", "md5:"), ["4: T121"]),
        (("0a0a", "0A0A"), ["4: T121"]),
        (("client: [billing], ", ""), ["6: T122"]),
        (("[billing]", "[a, b]"), ["6: T122"]),
        (("[billing]", "[]"), ["6: T122"]),
        (("group:", "grup:"), ["6: AZ204"]),
        (("[[clerk, pl]]", "[[clerk]]"), ["6: AZ209"]),
        (("aaaqeayeaudaocaj", "short"), ["4: T120"]),
        (("2027-01-01T00:00:00Z", "2027-01-01"), ["10: T103"]),
        (("scopes:", "scope:"), ["7: AZ204"]),
        (("keys:", "kees:"), ["2: AZ210", "3: AZ204"]),
    ],
)
def test_what_is_wrong_in_a_document_is_told_with_its_place(change, problems):
    found = compiled(GOOD.replace(*change))[1]
    assert [line.split(": ")[1] for line in sorted(found)] == [line.split(": ")[1] for line in problems]


def test_two_keys_with_one_id_are_an_error():
    assert [line for line in compiled(GOOD + "---" + GOOD)[1] if "T120" in line]

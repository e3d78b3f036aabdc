"""The canonical request: what holds of every path taken, what gateways would normalise, headers."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from authorizer.model import Reason, Request
from authorizer.pdp.canonical import (
    _CLEAN_PATH,
    MAX_HEADER_CHARACTERS,
    MAX_HEADERS,
    MAX_OPTIONS,
    SOFT_REASONS,
    Canonical,
    _check_headers,
    check_headers,
    read,
    read_host,
    refuse,
)

PATHS = Path(__file__).parents[3] / "shared" / "checks" / "paths"
MANAGED = frozenset({"x-auth-subject"})


def read_target(target):
    return read(Request(method="GET", target=target, host="a.example"))


def code(answer):
    return answer.code if isinstance(answer, Reason) else ""


def refused(target):
    """Tell whether a path is refused to every application that declares nothing."""
    answer = read_target(target)
    return isinstance(answer, Reason) or bool(answer.softs)


wild = st.text(max_size=40) | st.text("/.%;\\?#25eEfFcC0aA\x00\x7f \u00e9\udc80", max_size=40)
PIECES = (
    "", "a", "b.c", ".", "..", "%2e", "%2f", "%41", "%20", "%3a", "%25", "%252e", ";", "x;y=1", "%3b", "...", "%c3%a9",
    "%c0%af", "\\", "%5c", "\u00e9", "%00", "%zz", ":", "%3f",
)  # fmt: skip
near = st.lists(st.lists(st.sampled_from(PIECES), max_size=2).map("".join), max_size=6).map("/".join)


@given(wild, wild, wild, st.dictionaries(wild, st.lists(wild, max_size=3).map(tuple), max_size=4))
def test_nothing_raises(method, target, host, headers):
    request = Request(method=method, target=target, host=host, headers={**headers, "authorization": (target,)})
    for answer in (read(request), read(Request(method="GET", target="/" + target, host="a"))):
        assert isinstance(answer, Canonical | Reason)
    assert isinstance(check_headers(request, MANAGED), Reason | None)


NAMES = st.sampled_from(
    ["a", "x-user", "x_user", "connection", "te", ":path", ":odd", "", "A", "\u00e9", "n" * 1024, "m" * 600]
)
VALUES = st.sampled_from(["b", "", "x-user", "a\nb", "a\rb", "\0", "\u00e9", "v" * (64 * 1024 - 1025), "v" * 64 * 1024])


@given(st.dictionaries(NAMES, st.lists(VALUES, min_size=1, max_size=2).map(tuple), max_size=5) | st.just({"a": ()}))
def test_a_quick_look_at_headers_misses_nothing(headers):
    assert check_headers(Request(headers=headers), MANAGED) == _check_headers(
        headers, [value for values in headers.values() for value in values], MANAGED
    )


@given(wild | near.map("/".__add__))
def test_a_quick_look_at_a_path_misses_nothing(path):
    slow = re.fullmatch(r"(?:/[A-Za-z0-9._~!$&'()*+,=:@-]+)+/?|/", path) and "/." not in path
    assert bool(slow) == bool(_CLEAN_PATH(path) and "//" not in path and "/." not in path)


@given(st.binary(max_size=40))
def test_any_bytes_are_read(octets):
    answer = read_target("/" + octets.decode("utf-8", "surrogateescape"))
    assert isinstance(answer, Canonical | Reason)


def collapse(path):
    """What RFC 3986 (5.2.4) and slash merging make of a path; ``\\`` taken for ``/`` as browsers and Envoy do."""
    out = []
    parts = path.replace("\\", "/").split("/")
    for number, part in enumerate(parts[1:], start=1):
        last = number == len(parts) - 1
        if part in {"..", "."} or (not part and not last):
            if part == ".." and out:
                out.pop()
            if last:
                out.append("")
        else:
            out.append(part)
    return "/" + "/".join(out)


def cut(path):
    return "/".join(part.partition(";")[0] for part in path.split("/"))


@settings(max_examples=400)
@given(near.map(lambda path: "/" + path) | wild.map(lambda path: "/" + path))
@example("/a/%2e%2e%2fb")
@example("/a/..;/b")
@example("/a/%252e%252e/b")
def test_what_is_taken_is_read_alike_by_all(target):
    """However a reader decodes once, merges, cuts or resolves, in whatever order, it sees the same segments."""
    answer = read_target(target)
    if isinstance(answer, Reason) or answer.softs:
        return
    path, decoded = answer.path, unquote(answer.path)
    assert answer.segments == tuple(path[1:].split("/"))
    assert collapse(path) == path == cut(path) == collapse(cut(path))
    assert collapse(decoded) == decoded == cut(decoded)
    assert unquote(decoded) == decoded
    assert decoded.count("/") == path.count("/")
    assert [unquote(part) for part in answer.segments] == decoded[1:].split("/")
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", decoded)
    assert not answer.readings or answer.readings == (tuple(decoded[1:].split("/")),)


@given(near.map(lambda path: "/" + path))
def test_what_may_be_accepted_never_climbs(target):
    """Even for an application that accepts everything doubtful, no reading of the path has a dot or empty segment."""
    answer = read_target(target)
    if isinstance(answer, Canonical):
        for reading in ((*answer.segments,), *answer.readings):
            assert not {".", ".."} & set(reading)
            assert "" not in reading[:-1]


def istio():
    file = PATHS / "istio-normalization.json"
    return json.loads(file.read_text())["cases"] if file.exists() else []


def envoy(table):
    file = PATHS / "envoy-path-utility.json"
    return json.loads(file.read_text())[table] if file.exists() else []


@pytest.mark.skipif(not PATHS.exists(), reason="the gateways' path tables are not in this checkout")
class TestGateways:
    """Whatever a gateway would turn into another path, or refuse, we refuse."""

    @pytest.mark.parametrize("row", istio(), ids=lambda row: f"{row['mode']} {row['in']}")
    def test_istio(self, row):
        if row.get("out") != row["in"]:
            assert refused(row["in"])

    @pytest.mark.parametrize("table", ["canonical", "merge_slashes", "unescape_slashes"])
    def test_envoy(self, table):
        for row in envoy(table):
            if row["out"] != row["in"]:
                assert refused(row["in"].partition("?")[0]), row
                assert refused(row["in"]), row

    def test_envoy_fragments(self):
        for row in envoy("remove_query_and_fragment"):
            answer = read_target(row["in"])
            assert refused(row["in"]) if "#" in row["in"] or not row["in"] else answer.path == row["out"], row

    def test_envoy_refusals(self):
        assert all(refused(path) for path in envoy("invalid"))

    def test_clear_paths_are_taken(self):
        rows = [row["in"] for row in istio() if re.fullmatch(r"(/[A-Za-z0-9,=]+)+/?|/", row["in"])]
        assert len(rows) > 10
        assert not any(refused(path) for path in rows)


@pytest.mark.parametrize(
    ("target", "path", "query", "segments"),
    [
        ("/", "/", "", ("",)),
        ("/a", "/a", "", ("a",)),
        ("/a/", "/a/", "", ("a", "")),
        ("/a?", "/a", "", ("a",)),
        ("/a?b=/../c", "/a", "b=/../c", ("a",)),
        ("/a?b?c", "/a", "b?c", ("a",)),
        ("/.well-known/x", "/.well-known/x", "", (".well-known", "x")),
        ("/a%20b/c", "/a%20b/c", "", ("a%20b", "c")),
    ],
)
def test_parts(target, path, query, segments):
    answer = read_target(target)
    assert (answer.path, answer.query, answer.segments, answer.softs) == (path, query, segments, frozenset())


@pytest.mark.parametrize(
    ("target", "softs"),
    [
        ("/a%2fb", {"encoded_slash"}),
        ("/a%5Cb", {"encoded_slash"}),
        ("/a;b", {"path_parameters"}),
        ("/a%3Bb", {"path_parameters"}),
        ("/a%252fb", {"double_encoding"}),
        ("/a%3fb%23", {"encoded_delimiter"}),
        ("/a?_method=PUT", {"method_override"}),
        ("/a?b%26_method=PUT", {"method_override"}),
        ("/a?" + "&".join(f"method{number}" for number in range(65)), {"method_override"}),
        ("/a%2fb;c%2541%3f", {"encoded_slash", "path_parameters", "double_encoding", "encoded_delimiter"}),
    ],
)
def test_doubtful_things_are_named_and_may_be_accepted(target, softs):
    answer = read_target(target)
    assert answer.softs == softs
    assert refuse(answer.softs, frozenset(softs)) is None
    assert refuse(answer.softs) == next(why for word, why in SOFT_REASONS.items() if word in softs)
    for word in softs:
        assert refuse(answer.softs, frozenset(softs - {word})) == SOFT_REASONS[word]


@given(st.text("aZ0-_.:[]@,/%* ", max_size=20) | st.text(max_size=20))
def test_host_is_clean_or_refused(text):
    host = read_host(text)
    if isinstance(host, str):
        assert re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]", host)
        assert read_host(host) == host


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [
        (MAX_HEADERS, 1, ""),
        (MAX_HEADERS + 1, 1, "header_limit"),
        (1, MAX_HEADER_CHARACTERS - 10, ""),
        (1, MAX_HEADER_CHARACTERS, "header_limit"),
    ],
)
def test_header_limits(count, size, expected):
    headers = {f"x-{number}": ("v" * size,) for number in range(count)}
    assert code(check_headers(Request(headers=headers), MANAGED)) == expected
    if count > 1:
        assert code(check_headers(Request(headers={"x": ("v",) * count}), MANAGED)) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, ""),
        ({":path": ("/",), ":authority": ("a",), "x": ("",)}, ""),
        ({"": ("a",)}, "header_malformed"),
        ({"x": ()}, "header_malformed"),
        ({"X-Upper": ("a",)}, "header_malformed"),
        ({"a b": ("a",)}, "header_malformed"),
        ({"\xe9": ("a",)}, "header_malformed"),
        ({"\udcff": ("a",)}, "header_malformed"),
        ({"x:y": ("a",)}, "header_malformed"),
        ({":status": ("200",)}, "header_malformed"),
        ({":path": ("/a", "/b")}, "header_malformed"),
        ({"x": ("a\n",)}, "header_malformed"),
        ({"x": ("a", "\rb")}, "header_malformed"),
        ({"x": ("\x00",)}, "header_malformed"),
        ({":authority": ("a", "b")}, "host_ambiguous"),
        ({"connection": ("keep-alive",)}, ""),
        ({"connection": ("close", "te,\tX_Auth-Subject")}, "header_hop_by_hop"),
        ({"connection": ("authorization",)}, "header_hop_by_hop"),
        ({"upgrade": ("h2c",)}, "header_upgrade"),
        ({"connection": ("upgrade",), "upgrade": ("websocket", "foo,\tH2C")}, "header_upgrade"),
        ({"connection": ("," * (MAX_OPTIONS - 1),)}, ""),
        ({"connection": ("," * (MAX_OPTIONS - 1),), "upgrade": ("a,b",)}, "header_limit"),
        ({"authorization": ("a", "b")}, ""),  # the credential's own refusal, a 401
    ],
)
def test_header_sets(headers, expected):
    assert code(check_headers(Request(headers=headers), MANAGED)) == expected


def test_a_managed_name_with_underscores_has_a_twin_with_dashes():
    managed = frozenset({"x_legacy_user"})
    assert check_headers(Request(headers={"x_legacy_user": ("a",)}), managed) is None
    assert code(check_headers(Request(headers={"x_legacy-user": ("a",)}), managed)) == "header_underscore"


@pytest.mark.parametrize("target", ["/%25" * 2000, "/a;" * 2700, "/%2541" * 1300, "/%2f" * 2000, "/%" + "25" * 4000])
def test_a_long_doubtful_path_is_judged(target):
    """Each form of the path is read a fixed number of times; see also the limit on its length."""
    assert isinstance(read_target(target), Canonical | Reason)


def test_a_path_of_many_forms_has_fewer_escapes():
    assert isinstance(read_target("/a" + "%20" * 2700), Canonical)
    assert isinstance(read_target("/a%2fb%253b%3f" + "%20" * 200), Canonical)
    assert read_target("/a%2fb%253b%3f" + "%20" * 2700).code == "path_too_long"


@pytest.mark.parametrize("text", ["a" * 256, "a." * 500_000, "a" * 250 + ":65536"])
def test_the_length_of_a_host_is_looked_at_first(text, monkeypatch):
    def never(_):
        raise AssertionError

    monkeypatch.setattr("authorizer.pdp.canonical._HOST", never)
    assert read_host(text).code == "host_malformed"

"""Profiles as pure functions: any header set is read in one way or refused."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from authorizer.doors.forward_auth_profiles import PROFILES, Original, client_address, collect, find, read
from authorizer.reasons import REASONS

NAMES = st.one_of(
    st.sampled_from([name for profile in PROFILES.values() for name in sorted(profile.carriers)]).flatmap(
        lambda name: st.sampled_from([name, name.upper(), name.replace("-", "_"), name.replace("-", "_", 1)])
    ),
    st.sampled_from(["host", "authorization", "connection", "content-length", "x-other"]),
)
VALUES = st.one_of(st.sampled_from([b"", b"GET", b"/a,/b", b"/a", b"api", b"https", b"1.2.3.4, ::1"]), st.binary())
LINES = st.lists(st.tuples(NAMES.map(str.encode), VALUES), max_size=12)


@given(st.sampled_from(sorted(PROFILES)), st.text(max_size=10), st.text(max_size=30), LINES, st.integers(-1, 4))
def test_any_call_is_read_or_refused_and_only_from_the_headers_of_its_profile(name, method, rest, lines, hops):
    profile = PROFILES[name]
    headers = collect(lines)
    original = read(profile, method, rest, headers, hops)
    if isinstance(original, str):
        assert original in REASONS
        return
    carriers = {name: values for name, values in headers.items() if name in profile.carriers}
    again = read(profile, method, rest, carriers | {"host": headers.get("host", ("",))}, hops)
    assert isinstance(again, Original)
    assert replace(again, headers=original.headers) == original
    assert not profile.carriers & original.headers.keys()


@given(LINES)
def test_headers_keep_every_line(lines):
    headers = collect(lines)
    assert sum(map(len, headers.values())) == len(lines)
    for name, values in headers.items():
        assert name == name.lower()
        sent = [value for raw, value in lines if raw.decode().lower() == name]
        assert [value.encode("utf-8", "surrogateescape") for value in values] == sent


@given(st.text(max_size=40))
def test_any_target_names_a_profile_or_none(target):
    for candidate in (target, "/authz/" + target, "/authz/envoy" + target, "/authz/nginx" + target):
        found = find(candidate)
        if found is not None:
            profile, rest = found
            name = next(name for name, known in PROFILES.items() if known is profile)
            assert f"/authz/{name}{rest}" == candidate


@given(st.lists(st.text(max_size=20), max_size=4), st.integers(-2, 5))
def test_any_chain_gives_an_address_or_nothing(chain, hops):
    address = client_address(chain, hops)
    assert address == "" or hops >= 1


def test_rows_cannot_answer_a_denial_as_an_allow():
    for profile in PROFILES.values():
        assert 403 in profile.statuses
        assert all(400 <= status <= 599 for status in profile.statuses)
    assert all(status < 500 for status in PROFILES["envoy"].statuses)

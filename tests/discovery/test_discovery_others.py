"""Kong and Traefik: what their configurations say, and that no file breaks their readers."""

import contextlib
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from authorizer.discovery import kong, traefik, traefik_rules
from authorizer.errors import DiscoveryError

CHECKS = Path(__file__).parents[3] / "shared" / "checks" / "gateways"


def documents(archive: str) -> Iterator[Any]:
    path = CHECKS / archive
    if not path.exists():
        pytest.skip("the outside checks are not here")
    with tarfile.open(path) as files:
        for member in files:
            held = files.extractfile(member)
            with contextlib.suppress(yaml.YAMLError, tomllib.TOMLDecodeError):
                if held is not None and member.name.endswith(".toml"):
                    yield tomllib.loads(held.read().decode())
                elif held is not None and member.name.endswith((".yml", ".yaml")):
                    yield from yaml.safe_load_all(held.read())


@pytest.mark.parametrize(
    ("archive", "read"),
    [
        ("kong-deck-declarative.tar.gz", kong.read),
        ("traefik-dynamic.tar.gz", lambda value: traefik.read(value, ["authorizer"])),
    ],
)
def test_every_file_gives_the_same_twice(archive, read):
    found = 0
    for value in documents(archive):
        if isinstance(value, dict):
            with contextlib.suppress(DiscoveryError):
                first = read(value)
                assert first == read(value)
                found += len(first.apis)
    assert found > 30


def test_a_service_of_kong_and_its_routes():
    config = yaml.safe_load("""
services:
  - name: orders
    host: o.internal
    plugins: [{name: opa}]
    routes:
      - {name: a, hosts: [o.example], paths: [/orders, "~/v\\\\d+/x"], methods: [GET], odd: 1}
routes:
  - {name: b, service: {name: orders}, paths: [/b], strip_path: false}
  - {name: c, expression: "http.path == x"}
""")
    found = kong.read(config)
    loose, every, hosted = found.apis
    assert (loose.routes[0].kind, loose.routes[0].flags) == ("any", ("ext_authz_absent", "match_unread"))
    assert (every.hosts, every.routes[0].path, every.asking) == (("*",), "/b", "unknown")
    assert [(route.path, route.kind, route.methods) for route in hosted.routes] == [
        ("/orders", "prefix", ("GET",)),
        ("/v\\d+/x.*", "regex", ("GET",)),
    ]
    assert "rewrite" in hosted.routes[0].flags
    assert found.notes == ("kong service orders, route a: the field 'odd' is not known",)


MIDDLEWARES = {
    "auth": {"forwardAuth": {"address": "http://authorizer:9192/authz/traefik"}},
    "other": {"forwardAuth": {"address": "http://x/"}},
    "chain": {"chain": {"middlewares": ["auth"]}},
    "loop": {"chain": {"middlewares": ["loop"]}},
    "strip": {"stripPrefix": {"prefixes": ["/a"]}},
}


@pytest.mark.parametrize(
    ("names", "asking", "flag"),
    [
        (["auth", "strip"], "asks", "rewrite"),
        (["chain@file"], "asks", ""),
        (["other"], "does_not", "asks_another"),
        ([], "does_not", "ext_authz_absent"),
        (["auth@docker"], "unknown", "ask_unknown"),
        (["loop"], "unknown", "ask_unknown"),
    ],
)
def test_who_traefik_asks(names, asking, flag):
    router = {"rule": "Host(`A.example`) && PathPrefix(`/x`)", "service": "s", "middlewares": names}
    (api,) = traefik.read({"http": {"routers": {"r": router}, "middlewares": MIDDLEWARES}}, ["authorizer"]).apis
    assert api.hosts == ("a.example",)
    assert (api.routes[0].path, api.routes[0].kind) == ("/x", "prefix")
    assert api.asking == asking
    assert not flag or flag in api.routes[0].flags


@pytest.mark.parametrize(
    ("rule", "ways"),
    [
        ("Host(`a`) || Host(`b`) && Path(`/x`)", [("a", "/"), ("b", "/x")]),
        (
            "(Host(`a`) || Host(`b`)) && (Path(`/x`) || Path(`/y`))",
            [("a", "/x"), ("a", "/y"), ("b", "/x"), ("b", "/y")],
        ),
        ('Host(`a`, "b")', [("a,b", "/")]),
        ("!Host(`a`)", [("*", "/")]),
        ("Host(`a`", [("*", "/")]),
        ("Host(`a`)" + " && (Host(`a`) || Host(`b`))" * 20, [("*", "/")]),
        ("(" * 1000, [("*", "/")]),
    ],
)
def test_rules_become_alternatives(rule, ways):
    found = traefik.read({"http": {"routers": {"r": {"rule": rule, "service": "s"}}}}, [])
    told = sorted((",".join(api.hosts), route.path) for api in found.apis for route in api.routes)
    assert told == ways
    odd = ways == [("*", "/")]
    assert odd == any("match_unread" in route.flags for api in found.apis for route in api.routes)


@given(st.text(alphabet='Host(`a`)&|!, "Path', max_size=60))
def test_no_rule_breaks_the_reader(rule):
    with contextlib.suppress(DiscoveryError):
        assert traefik_rules.alternatives(rule) == traefik.alternatives(rule)

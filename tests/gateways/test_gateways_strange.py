"""Whatever a file holds: findings, or an error with a code."""

import contextlib
import json
import tarfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from authorizer.errors import DiscoveryError, GatewayError
from authorizer.gateways.blocks import read_nginx
from authorizer.gateways.checks import CHECKS
from authorizer.gateways.findings import Expected
from authorizer.settings import IDENTITY_HEADERS
from tests.gateways.examples import examples

ARCHIVES = Path(__file__).parents[3] / "shared" / "checks" / "gateways"
EXPECTED = Expected(identity=tuple(IDENTITY_HEADERS), bodies=True)
GOOD = {kind: "\n".join(text for name, text in examples().items() if name.startswith(f"{kind}/")) for kind in CHECKS}
ODD = [
    "{",
    "}",
    ";",
    '"',
    "'",
    "`",
    "\n",
    "${",
    "- ",
    ": ",
    "&a ",
    "*a",
    "true",
    "1",
    "[]",
    "{}",
    "null",
    "\\",
    "include x;",
    "import x",
]


def checked(kind, text):
    with contextlib.suppress(GatewayError, DiscoveryError):
        return CHECKS[kind]([("a file", text)], EXPECTED)
    return []


@st.composite
def spoilt(draw):
    kind = draw(st.sampled_from(sorted(CHECKS)))
    text = GOOD[kind]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(ODD)) + text[at + draw(st.integers(0, 30)) :]
    return kind, text


@given(spoilt())
def test_spoilt_files_are_read_or_refused(case):
    for problem in checked(*case):
        assert problem.hint
        assert problem.message.isprintable() or problem.message


def test_an_address_that_is_none_is_a_finding():
    text = GOOD["traefik"].replace("address: http://127", "address: http://[]127")
    assert {problem.code for problem in checked("traefik", text)} >= {"AZ923", "AZ929"}


@given(st.sampled_from(sorted(CHECKS)), st.text())
def test_any_text_is_read_or_refused(kind, text):
    checked(kind, text)


NESTED = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.sampled_from(["reverse_proxy", "CUSTOM"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["http", "routers", "middlewares", "forwardAuth", "spec", "kind", "extAuth", "meshConfig", "rules", "static_resources",
             "listeners", "filter_chains", "filters", "typed_config", "configs", "entryPoints", "extensionProviders", "items", "apps", "servers",
             "routes", "handle", "handler", "handle_response", "rewrite", "transport", "upstreams"]
        ), inner, max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.sampled_from(["envoy", "istio", "envoy-gateway", "traefik", "caddy"]), NESTED)
def test_any_shape_is_read_or_refused(kind, value):
    checked(kind, json.dumps(value) if kind == "caddy" else yaml.safe_dump(value))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("caddy", "(a) {\n" + "\timport a\n" * 50 + "}\nx {\n\timport a\n}\n"),
        ("caddy", "(a) {\n" + "\troute {\n\t\timport a\n\t}\n" * 50 + "}\nx {\n\timport a\n}\n"),
        ("nginx", "# configuration file /a:\n" + "include /a;\n" * 50),
        ("nginx", "a {" * 10_000),
        ("nginx", "${" * 100_000),
        ("caddy", "`" + "x" * 1_000_000),
        ("istio", "[" * 10_000),
        ("traefik", "a: &a {b: 1}\n" + "".join(f"c{n}: &c{n} [*{'a' if n == 0 else f'c{n - 1}'}, *{'a' if n == 0 else f'c{n - 1}'}]\n" for n in range(50))),
        ("envoy", "a: &a {b: 1}\n" + "".join(f"c{n}: &c{n} {{x: *{'a' if n == 0 else f'c{n - 1}'}, y: *{'a' if n == 0 else f'c{n - 1}'}}}\n" for n in range(50))),
    ],
    ids=[str(number) for number in range(9)],
)  # fmt: skip
def test_small_files_make_no_large_work(kind, text):
    checked(kind, text)


def test_a_file_that_includes_itself_is_refused(tmp_path):
    (tmp_path / "a.conf").write_text("include a.conf;")
    with pytest.raises(GatewayError) as caught:
        read_nginx("include a.conf;", str(tmp_path / "a.conf"))
    assert caught.value.code == "AZ901"


@pytest.mark.parametrize(
    ("archive", "kind"),
    [
        ("istio-samples.tar.gz", "istio"),
        ("traefik-dynamic.tar.gz", "traefik"),
        ("envoy-config-dump-istio.tar.gz", "envoy"),
        ("envoy-gateway-xds-routes.tar.gz", "envoy-gateway"),
        ("kong-deck-declarative.tar.gz", "istio"),
    ],
)
def test_files_of_others_are_read_twice_alike(archive, kind):
    if not (ARCHIVES / archive).exists():
        pytest.skip(f"{archive} is not beside this checkout")
    read = 0
    with tarfile.open(ARCHIVES / archive) as files:
        for member in files:
            if member.isfile() and member.size < 5_000_000:
                content = files.extractfile(member).read().decode("utf-8", "replace")
                assert checked(kind, content) == checked(kind, content)
                read += 1
    assert read

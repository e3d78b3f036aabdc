"""What ``authorizer gateway`` prints: readable by the gateway, one endpoint a worker, and what ``deploy`` has."""

import asyncio
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from authorizer.demo.gateway import find_envoy
from authorizer.errors import DemoError, GatewayError
from authorizer.gateways import envoy, kong, yaml_text
from authorizer.gateways.kinds import KINDS
from authorizer.jose.sign import generate
from tests.gateways.examples import DEPLOY, SITE, SITES, examples

WORKERS = ("unix:/run/door-0.sock", "unix:/run/door-1.sock", "unix:/run/door-2.sock")
TEXTS = st.text("aB0é -:#{}[]'\"\\~&*!|>%@`,?.=", max_size=8)
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), TEXTS, st.text("019aefosx_.:~%-", min_size=1, max_size=8),
        st.sampled_from(["yes", "0x1f", "1e3", "0o7", "-", "a: b", "a #b", "~", "60s", "127.0.0.1", "1_000", "a\nb\n"]),
    ),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(TEXTS, inner, min_size=1, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.dictionaries(TEXTS.filter(bool), VALUES, min_size=1, max_size=3))
def test_the_yaml_says_what_was_meant(value):
    assert yaml.safe_load(yaml_text.render(value, {"a": "why"}, ["head"])) == value


def test_comments_stand_above_what_they_explain():
    value = {"a": {"b": 1, "c": [{"b": 2}]}, "long": "x" * 200, "lua": "one\ntwo\n"}
    assert yaml_text.render(value, {"c": "see", "b": "first"}) == (
        f"a:\n  # first\n  b: 1\n  # see\n  c: [{{b: 2}}]\nlong: {'x' * 200}\nlua: |\n  one\n  two\n"
    )


def test_deploy_has_what_is_printed():
    assert {str(path.relative_to(DEPLOY)) for kind in KINDS for path in (DEPLOY / kind).iterdir()} == set(examples())
    for name, text in examples().items():
        assert (DEPLOY / name).read_text(encoding="utf-8") == text, f"{name}: run python -m tests.gateways.examples"


@pytest.mark.parametrize("kind", ["envoy", "istio", "envoy-gateway", "nginx", "caddy", "haproxy"])
def test_one_endpoint_a_worker(kind):
    text = "".join(KINDS[kind](replace(SITE, grpc=WORKERS, http=WORKERS)).values())
    assert [text.count(address.removeprefix("unix:")) for address in WORKERS] == [1, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_hosts_and_headers_are_those_of_the_settings(kind):
    doors = ("auth.example:9000",)
    text = "".join(
        KINDS[kind](replace(SITE, grpc=doors, http=doors, identity=("x-who",), listen="0.0.0.0:80")).values()
    )
    assert "auth.example" in text
    assert "9000" in text
    assert "auth-decision" not in text.lower()
    assert kind in {"envoy", "istio"} or "x-who" in text.lower()


@pytest.mark.parametrize(
    ("kind", "change", "code"),
    [
        ("envoy", {"grpc": (), "http": ()}, "AZ902"),
        ("istio", {"grpc": ()}, "AZ902"),
        ("nginx", {"http": ()}, "AZ902"),
        ("nginx", {"http": ("unix:@door",)}, "AZ903"),
        ("haproxy", {"http": ("unix:@door",)}, "AZ903"),
        ("istio", {"grpc": ("unix:@door",)}, "AZ903"),
        ("envoy-gateway", {"grpc": ("127.0.0.1:9191",)}, "AZ903"),
        ("traefik", {"http": ("unix:/run/door.sock",)}, "AZ903"),
        ("traefik", {"http": ("10.0.0.1:1", "10.0.0.1:2")}, "AZ903"),
        ("traefik", {"http": ("10.0.0.1:1",), "secret": True}, "AZ904"),
        ("kong", {"secret": True}, "AZ904"),
        ("kong", {"http": ("10.0.0.1:1", "10.0.0.1:2")}, "AZ903"),
        ("apisix", {"http": ("10.0.0.1:1", "10.0.0.1:2")}, "AZ903"),
        ("caddy", {"http": ("127.0.0.1:0",)}, "AZ903"),
    ],
)
def test_what_a_gateway_cannot_do_is_refused(kind, change, code):
    with pytest.raises(GatewayError) as caught:
        KINDS[kind](replace(SITES[kind], **change))
    assert caught.value.code == code


def test_a_secret_is_sent_and_never_printed():
    for kind in ("nginx", "caddy", "haproxy", "apisix"):
        text = "".join(KINDS[kind](replace(SITE, secret=True)).values())
        assert "secret" in text.lower()
        assert "secret" not in "".join(KINDS[kind](SITE).values()).lower().replace("x-authorizer-secret", "")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"grpc": ("unix:@door",)},
        {"grpc": WORKERS, "body_bytes": 1 << 20},
        {"grpc": ("auth.example:9191", "auth.example:9194"), "tls": True, "client_certificate": True},
        {"grpc": ("[::1]:9191",), "tls": True, "timeout": 0.05},
        {"grpc": (), "http": WORKERS[:1], "body_bytes": 65_536},
    ],
)
async def test_envoy_reads_it(change, tmp_path):
    site = replace(SITE, **change)
    text = KINDS["envoy"](site)["envoy.yaml"]
    first, *others = site.grpc or site.http
    check = envoy.Check(
        address=first, protocol="grpc" if site.grpc else "http", timeout=site.timeout, body_bytes=site.body_bytes,
        workers=tuple(others), tls=site.tls, client_certificate=site.client_certificate,
    )  # fmt: skip
    made = envoy.bootstrap(check, [envoy.Backend("api", "/", site.api)], listen=site.listen, admin="127.0.0.1:9901")
    assert yaml.safe_load(text) == made
    for name, content in certificates().items():
        (tmp_path / name).write_bytes(content)
        text = text.replace(f"/etc/authorizer/{name}", str(tmp_path / name))
    (tmp_path / "envoy.yaml").write_text(text)
    assert await validated(tmp_path / "envoy.yaml") == ""


async def validated(config: Path) -> str:
    """Return what Envoy has against a configuration."""
    try:
        program = find_envoy()
    except DemoError as error:
        pytest.skip(str(error))
    process = await asyncio.create_subprocess_exec(
        program, "--mode", "validate", "-c", config, "--log-level", "error", stdout=-1, stderr=-1
    )
    out, errors = await asyncio.wait_for(process.communicate(), 30)
    return (out + errors).decode() if process.returncode else ""


def certificates() -> dict[str, bytes]:
    """Return an authority, and a certificate with its key, as files."""
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    pem = generate("ES256")
    key = serialization.load_pem_private_key(pem, None)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return {"ca.pem": certificate, "gateway.pem": certificate, "gateway.key": pem}


def test_kongs_lua_asks_the_address_of_its_own():
    action = kong.action(SITE, "127.0.0.1:9192")
    assert 'request_uri("http://127.0.0.1:9192/authz/kong"' in action
    assert "set_timeout(500)" in action

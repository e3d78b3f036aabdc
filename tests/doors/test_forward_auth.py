"""The forward-auth door over real sockets: what is read, and who is believed."""

import json

import pytest

from tests.doors.forward_auth_client import CALLS, FORWARDED, LOOPBACK, ORIGINAL, SECRET, Fake, door


@pytest.mark.parametrize("profile", CALLS)
async def test_each_profile_reads_its_own_headers(client, profile):
    target, headers = CALLS[profile]
    reply = await client.call(target, {**headers, "Authorization": "Bearer t"}, host="api.example.com")
    assert reply.status == 200
    (request,) = client.fake.asked
    assert (request.method, request.target, request.host) == ("GET", "/orders/17?x=1", "api.example.com")
    assert request.transport == "http"
    assert request.headers == {"authorization": ("Bearer t",)}
    told = profile != "envoy"
    assert (request.scheme, request.peer) == (("https", "192.0.2.7") if told else ("", ""))


@pytest.mark.parametrize("profile", ["traefik", "caddy", "nginx"])
@pytest.mark.parametrize("part", ["method", "uri", "host", "proto"])
async def test_a_missing_header_is_a_denial_and_not_a_guess(client, profile, part):
    target, headers = CALLS[profile]
    reply = await client.call(target, {n: v for n, v in headers.items() if not n.lower().endswith(part)})
    assert (reply.status, reply.reason) == (403, "forwarded_missing")
    assert client.fake.asked == []
    (detail,) = client.fake.details
    assert detail.startswith("the gateway did not send: x-")
    assert detail.endswith(part)


@pytest.mark.parametrize("profile", ["traefik", "caddy", "nginx"])
@pytest.mark.parametrize("part", ["method", "uri", "host", "proto"])
@pytest.mark.parametrize("spelling", ["repeat", "underscore"])
async def test_a_repeat_and_an_underscore_twin_are_denials(client, profile, part, spelling):
    target, headers = CALLS[profile]
    name = next(n for n in headers if n.lower().endswith(part))
    twin = name.replace("-", "_") if spelling == "underscore" else name
    reply = await client.call(target, [*headers.items(), (twin, headers[name])])
    assert (reply.status, reply.reason) == (403, "forwarded_ambiguous")


@pytest.mark.parametrize("twin", ["X-Forwarded_Uri", "x_forwarded-uri", "X_FORWARDED_FOR"])
async def test_mixed_spellings_are_twins_too(client, twin):
    reply = await client.call("/authz/traefik", {**FORWARDED, twin: "/public"})
    assert reply.reason == "forwarded_ambiguous"


@pytest.mark.parametrize(
    ("uri", "passes"),
    [
        ("/a,/b", False), ("/a, /b", False), ("/a,\t/b", False), ("/a,b", True),
        ("/a?x=1,/b", False), ("/a?x=1, /b?y", False),
        ("/a?ids=1,2", True), ("/a?x=", True),
    ],
)  # fmt: skip
async def test_a_joined_target_is_a_denial(client, uri, passes):
    reply = await client.call("/authz/traefik", {**FORWARDED, "X-Forwarded-Uri": uri})
    assert (reply.status == 200) is passes
    assert passes or reply.reason == "forwarded_ambiguous"


@pytest.mark.parametrize(
    "target", ["/orders/../admin", "/a%2f..%2fb", "//evil/x", "/%zz", "/a;b=c/d", "/x#y", "/a?b=%2e%2e"]
)
async def test_the_target_is_handed_on_as_sent(client, target):
    await client.call("/authz/envoy" + target)
    await client.call("/authz/traefik", {**FORWARDED, "X-Forwarded-Uri": target})
    assert [request.target for request in client.fake.asked] == [target, target]


@pytest.mark.parametrize("profile", ["traefik", "caddy", "nginx"])
async def test_headers_of_another_contract_are_the_clients_own_word(client, profile):
    target, headers = CALLS[profile]
    foreign = dict.fromkeys(("X-Original-Url", "X-Rewrite-Url", "X-Envoy-Original-Path"), "/admin")
    other = {n: "evil" for n in (ORIGINAL if profile != "nginx" else FORWARDED) if n not in headers}
    await client.call(target, {**headers, **foreign, **other})
    assert client.fake.asked[0].target == "/orders/17?x=1"
    assert client.fake.asked[0].host == "api.example.com"


async def test_envoy_reads_the_request_line_whatever_is_forwarded(client):
    await client.call("/authz/envoy/real", {**FORWARDED, **ORIGINAL, "X-Envoy-Original-Path": "/x"}, host="api")
    (request,) = client.fake.asked
    assert (request.method, request.target, request.host, request.scheme, request.peer) == (
        "GET",
        "/real",
        "api",
        "",
        "",
    )


@pytest.mark.parametrize(
    ("chain", "hops", "peer"),
    [
        (["1.1.1.1, 2.2.2.2"], 1, "2.2.2.2"),
        (["1.1.1.1, 2.2.2.2"], 2, "1.1.1.1"),
        (["1.1.1.1", "2.2.2.2"], 1, "2.2.2.2"),
        (["1.1.1.1"], 2, ""),
        (["1.1.1.1, unknown"], 1, ""),
        (["2001:DB8::1"], 1, "2001:db8::1"),
        (["fe80::1%eth0"], 1, ""),
        (["1.1.1.1:80"], 1, ""),
        (["1.1.1.1,"], 1, ""),
        ([], 1, ""),
    ],
)
async def test_the_client_address_is_counted_from_the_right(chain, hops, peer):
    headers = [(n, v) for n, v in FORWARDED.items() if n != "X-Forwarded-For"]
    async with door(Fake(), hops=hops) as client:
        await client.call("/authz/traefik", [*headers, *(("X-Forwarded-For", line) for line in chain)])
        assert client.fake.asked[0].peer == peer


async def test_repeats_and_odd_bytes_reach_the_decision_as_sent(client):
    await client.call("/authz/envoy/", [("Cookie", "a=1"), ("cookie", "b=2"), ("X-Odd", "\udcff\udcfe"), ("X-U", "é")])
    headers = client.fake.asked[0].headers
    assert headers == {"cookie": ("a=1", "b=2"), "x-odd": ("\udcff\udcfe",), "x-u": ("é",)}


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "QUERY", "PUT", "DELETE", "PATCH", "POST", "PROPFIND"])
async def test_every_method_is_asked_about(client, method):
    reply = await client.call("/authz/envoy/orders", method=method)
    assert (reply.status, reply.body) == (200, b"")
    assert client.fake.asked[0].method == method


@pytest.mark.parametrize(
    "target",
    ["/", "/authz", "/authz/", "/authz/zuul", "/authz/traefik/x", "/authz/nginx/../envoy/x", "/AUTHZ/envoy/", "*",
     "/authz/envoyx/", "http://door/authz/envoy/x", "//authz/envoy/"],
)  # fmt: skip
async def test_what_is_no_profile_is_denied(client, target):
    reply = await client.call(target, FORWARDED, method="OPTIONS")
    assert (reply.status, reply.reason, client.fake.asked) == (403, "forwarded_missing", [])
    assert client.fake.details[0].startswith("no gateway has this address")


@pytest.mark.parametrize("target", ["door:80", "/authz/envoy/x"])
async def test_connect_is_denied_and_ends_the_connection(client, target):
    reply = await client.call(target, method="CONNECT")
    assert (reply.status, reply.closed, client.fake.asked) == (403, True, [])


@pytest.mark.parametrize(
    ("networks", "secrets", "shown", "trusted"),
    [
        (LOOPBACK, (), (), True),
        (("127.0.0.1",), (), (), True),
        ((), (), (), False),
        (("10.0.0.0/8", "2001:db8::/32"), (), (), False),
        ((), (), (SECRET,), False),
        ((), (SECRET,), (SECRET,), True),
        ((), ("the previous secret of us", SECRET), (SECRET,), True),
        ((), (SECRET,), (SECRET + "x",), False),
        ((), (SECRET,), ("",), False),
        ((), (SECRET,), (SECRET, SECRET), False),
    ],
)
@pytest.mark.parametrize("profile", CALLS)
async def test_only_trusted_peers_are_believed(profile, networks, secrets, shown, trusted):
    target, headers = CALLS[profile]
    async with door(Fake(), networks=networks, secrets=secrets) as client:
        reply = await client.call(target, [*headers.items(), *(("X-Authorizer-Secret", secret) for secret in shown)])
        assert (reply.status == 200) is trusted
        if trusted:
            assert "x-authorizer-secret" not in client.fake.asked[0].headers
        else:
            assert (reply.reason, reply.closed, client.fake.asked) == ("peer_untrusted", True, [])
            ((request, decision),) = client.fake.refused
            assert (request.peer, decision.reason.code) == ("127.0.0.1", "peer_untrusted")
            assert decision.id == json.loads(reply.body)["decision_id"]


async def test_a_unix_socket_is_trusted_by_its_file_mode(tmp_path):
    path = tmp_path / "door.sock"
    async with door(Fake(), networks=(), address=f"unix:{path}") as client:
        assert (await client.call("/authz/envoy/x")).status == 200
        assert path.stat().st_mode & 0o777 == 0o660
    assert not path.exists()

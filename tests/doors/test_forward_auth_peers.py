"""Which networks and secrets make a gateway trusted."""

from types import SimpleNamespace

import pytest

from authorizer.doors.forward_auth_peers import trust
from authorizer.errors import ListenError


def call(peer: str | None) -> SimpleNamespace:
    return SimpleNamespace(remote=peer, transport=None)


@pytest.mark.parametrize(
    ("networks", "peer", "trusted"),
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "11.1.2.3", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["2001:db8::/32"], "10.1.2.3", False),
        (["::1"], "::1", True),
        (["0.0.0.0/0"], "::1", False),
        (["10.0.0.0/8"], "", False),
        (["10.0.0.0/8"], None, False),
        (["fe80::/10"], "fe80::1%eth0", True),
        ([], "127.0.0.1", False),
    ],
)
def test_networks(networks, peer, trusted):
    assert trust(networks)(call(peer), {}) is trusted


@pytest.mark.parametrize("network", ["10.0.0.1/8", "localhost", "", "10.0.0.0/33", "*"])
def test_what_is_no_network_is_refused_with_a_cure(network):
    with pytest.raises(ListenError, match="AZ704") as caught:
        trust([network])
    assert caught.value.hint


@pytest.mark.parametrize("secret", ["", "hunter2", "fifteen letters"])
def test_a_secret_that_could_be_guessed_is_refused_and_not_shown(secret):
    with pytest.raises(ListenError, match="AZ705") as caught:
        trust([], [secret])
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize("shown", ["ü" * 20, "\udcff" * 20])
def test_a_secret_is_compared_as_bytes(shown):
    trusted = trust([], ["ü" * 20])
    assert trusted(call("192.0.2.1"), {"x-authorizer-secret": (shown,)}) is (shown == "ü" * 20)

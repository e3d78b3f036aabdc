"""Each abuse that the limits name: the connection ends with the right code, it is counted, and little is kept."""

import pytest

from authorizer.http2 import frames
from authorizer.http2.limits import DEFAULTS, Limits
from tests.http2.talk import Peer, message, raw, uint

CALM = frames.ENHANCE_YOUR_CALM


def resets(peer):
    return lambda number: peer.headers(number) + raw(3, 0, number, uint(8))


def whole_resets(peer):
    return lambda number: peer.call(number) + raw(3, 0, number, uint(8))


def own_resets(peer):
    return lambda number: peer.headers(number) + raw(8, 0, number, uint(0))


def malformed(peer):
    return lambda number: raw(1, 5, number, b"\x82\x84\x84")


FLOODS = {
    "resets": (resets, "rapid_reset"),
    "resets of whole calls": (whole_resets, "rapid_reset"),
    "resets that we are made to send": (own_resets, "stream_errors"),
    "malformed requests": (malformed, "stream_errors"),
    "resets of closed streams": (lambda p: lambda n: (p.call(1) if n == 1 else b"") + raw(3, 0, 1, uint(8)), "flood_rst_stream"),
    "GOAWAY": (lambda p: lambda _: raw(7, 0, 0, bytes(8)), "flood_goaway"),
    "headers of a stream that was reset": (
        lambda p: lambda n: (p.headers(1) + raw(8, 0, 1, uint(0)) if n == 1 else b"")
        + raw(1, 5, 1, p.encoder.encode([("a", "b")])), "flood_headers"),
    "SETTINGS": (lambda p: lambda _: raw(4, 0, 0), "flood_settings"),
    "acknowledgements": (lambda p: lambda _: raw(4, 1, 0), "flood_settings"),
    "PING": (lambda p: lambda _: raw(6, 0, 0, bytes(8)), "flood_ping"),
    "PRIORITY": (lambda p: lambda n: raw(2, 0, n, bytes(5)), "flood_priority"),
    "WINDOW_UPDATE": (lambda p: lambda _: raw(8, 0, 0, uint(1)), "flood_window_update"),
    "empty DATA": (lambda p: lambda n: (p.headers(1) if n == 1 else b"") + raw(0, 0, 1), "flood_data"),
    "DATA of padding": (lambda p: lambda n: (p.headers(1) if n == 1 else b"") + raw(0, 8, 1, b"\xff" + bytes(255)), "flood_data"),
    "DATA of one byte": (lambda p: lambda n: (p.headers(1, [(":path", "/")]) if n == 1 else b"") + raw(0, 0, 1, b"x"), "flood_data"),
    "unknown frames": (lambda p: lambda _: raw(0x77, 0, 0), "flood_unknown"),
}  # fmt: skip


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_its_connection(name):
    make, breach = FLOODS[name]
    peer = Peer()
    one = make(peer)
    for number in range(1, 20_001, 2):
        peer.say(one(number))
        if peer.connection.finished:
            break
    assert peer.goaway() is not None
    assert peer.goaway()[1] == CALM
    assert peer.breaches == [breach]
    assert peer.pool.buffered == 0


@pytest.mark.parametrize("name", FLOODS)
def test_the_same_slowly_and_among_calls_is_borne(name):
    peer = Peer(Limits(stream_errors=50, resets=50))
    one = FLOODS[name][0](peer)
    if name in {"resets", "resets of whole calls", "GOAWAY"}:
        return  # as many resets as calls are never borne: see the next test; nor is a farewell
    for number in range(1, 3001, 6):
        peer.now += 1
        peer.say(one(number))
        peer.say(peer.call(number + 2), peer.call(number + 4))
        peer.say(raw(8, 0, 0, uint(20)))
    assert peer.goaway() is None


def test_users_who_hang_up_are_borne_as_long_as_most_do_not():
    peer = Peer(Limits(resets=50))
    number = 1
    for _ in range(400):
        peer.say(peer.headers(number), raw(3, 0, number, uint(8)), raw(8, 0, 0, uint(1000)))
        number += 2
        for _ in range(3):
            peer.say(peer.call(number))
            number += 2
    assert peer.goaway() is None
    for _ in range(60):
        peer.now += 1
        peer.say(peer.headers(number), raw(3, 0, number, uint(8)))
        number += 2
    assert peer.goaway() is None


BLOCKS = {
    "many CONTINUATION": (lambda: raw(1, 0, 1, b"\x82") + raw(9, 0, 1, b"\x84") * 100, "continuations"),
    "empty CONTINUATION": (lambda: raw(1, 0, 1) + raw(9, 0, 1) * 100, "continuations"),
    "a block too large": (lambda: raw(1, 0, 1) + raw(9, 0, 1, bytes(16_000)) * 9, "header_block"),
    "a bomb": (
        lambda: raw(1, 4, 1, b"\x40\x01x\x7f\xa1\x1e" + bytes(4000)) + raw(1, 4, 3, b"\xbe" * 16_000), "header_bomb"),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
def test_header_blocks_are_bounded(name):
    make, breach = BLOCKS[name]
    peer = Peer(Limits(continuations=1000) if name == "a block too large" else DEFAULTS)
    peer.say(make())
    assert peer.goaway()[1] == CALM
    assert peer.breaches[-1] == breach


def test_data_that_dribbles_out_is_bounded():
    peer = Peer(settings=b"\0\4" + uint(0))
    peer.say(peer.call(1, bytes(100_000)[:16_000]))
    for _ in range(5000):
        peer.say(raw(8, 0, 1, uint(1)))
    assert peer.goaway()[1] == CALM
    assert peer.breaches == ["flood_window_update"]


def test_what_a_connection_remembers_is_bounded():
    peer = Peer()
    number = 1
    for n in range(3000):
        peer.now += 1
        fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/test.Echo/Say"),
            ("content-type", "application/grpc"),
            ("x", f"{n}"),
        ]
        block = b"".join(b"\0" + bytes((len(a),)) + a.encode() + bytes((len(b),)) + b.encode() for a, b in fields)
        peer.say(raw(1, 4, number, block), raw(0, 1, number, message(b"x")), raw(8, 0, 0, uint(6)))
        peer.say(peer.headers(number + 2, base=[(":method", "POST")]))
        number += 4
    connection = peer.connection
    assert not connection.finished
    assert len(connection._heads.known) <= 256
    assert len(connection._streams._abandoned) <= 1024
    assert not connection._streams.open
    assert len(peer.service.heard) == 3000

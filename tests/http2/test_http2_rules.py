"""Each rule of RFC 9113 that a peer can break: the error code, and whether a stream or the connection ends."""

import pytest

from authorizer.http2 import frames
from authorizer.http2.limits import Limits
from tests.http2.talk import Peer, message, raw, uint

D, H, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
NO, PROTOCOL, FLOW, CLOSED, SIZE, REFUSED, COMPRESSION = 0, 1, 3, 5, 6, 7, 9

POST = b"\x83\x86\x44\x8c"  # :method POST, :scheme http, :path with a length that says more than there is


def setting(name: int, value: int) -> bytes:
    return raw(SETTINGS, 0, 0, name.to_bytes(2, "big") + uint(value))


# name -> (what the peer says on top of an open connection, the code of GOAWAY)
CONNECTION = {
    "DATA on the connection": (lambda p: raw(D, 0, 0, b"x"), PROTOCOL),
    "DATA on an idle stream": (lambda p: raw(D, 0, 1, b"x"), PROTOCOL),
    "DATA on a closed stream": (lambda p: p.call(1) + raw(D, 0, 1, b"x"), CLOSED),
    "padding longer than DATA": (lambda p: p.headers(1) + raw(D, 8, 1, b"\x05abc"), PROTOCOL),
    "padded DATA without a length": (lambda p: p.headers(1) + raw(D, 8, 1), SIZE),
    "HEADERS on the connection": (lambda p: p.headers(0), PROTOCOL),
    "HEADERS on an even stream": (lambda p: p.headers(2), PROTOCOL),
    "HEADERS on a lower stream": (lambda p: p.headers(5) + p.headers(3), CLOSED),
    "HEADERS on a closed stream": (lambda p: p.call(1) + p.headers(1, flags=5), CLOSED),
    "padding longer than HEADERS": (lambda p: raw(H, 4 | 8, 1, b"\xff\x82"), PROTOCOL),
    "HEADERS without the priority they announce": (lambda p: raw(H, 4 | 0x20, 1, b"\x82"), SIZE),
    "a block that cannot be decoded": (lambda p: raw(H, 4, 1, POST), COMPRESSION),
    "an index of 0": (lambda p: raw(H, 4, 1, b"\x80"), COMPRESSION),
    "an index beyond the table": (lambda p: raw(H, 4, 1, b"\xfe"), COMPRESSION),
    "an integer without end": (lambda p: raw(H, 4, 1, b"\xff" + b"\x80" * 9), COMPRESSION),
    "a size update above what we allow": (lambda p: raw(H, 4, 1, b"\x3f\xe2\x1f\x82"), COMPRESSION),
    "a size update after a field": (lambda p: raw(H, 4, 1, b"\x82\x20"), COMPRESSION),
    "three size updates": (lambda p: raw(H, 4, 1, b"\x20\x21\x20\x82"), COMPRESSION),
    "a Huffman string with a wrong end": (lambda p: raw(H, 4, 1, b"\x00\x81\x00\x00"), COMPRESSION),
    "CONTINUATION without HEADERS": (lambda p: raw(CONTINUATION, 4, 1), PROTOCOL),
    "CONTINUATION after the end of headers": (lambda p: p.headers(1) + raw(CONTINUATION, 4, 1), PROTOCOL),
    "CONTINUATION of another stream": (lambda p: raw(H, 0, 1, b"\x82") + raw(CONTINUATION, 4, 3), PROTOCOL),
    "a block that is interrupted": (lambda p: raw(H, 0, 1, b"\x82") + raw(PING, 0, 0, bytes(8)), PROTOCOL),
    "an unknown frame within a block": (lambda p: raw(H, 0, 1, b"\x82") + raw(0xFF, 0, 0), PROTOCOL),
    "PRIORITY on the connection": (lambda p: raw(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
    "RST_STREAM on the connection": (lambda p: raw(RST, 0, 0, uint(8)), PROTOCOL),
    "RST_STREAM on an idle stream": (lambda p: raw(RST, 0, 1, uint(8)), PROTOCOL),
    "RST_STREAM of a wrong size": (lambda p: p.headers(1) + raw(RST, 0, 1, b"abc"), SIZE),
    "SETTINGS on a stream": (lambda p: raw(SETTINGS, 0, 1), PROTOCOL),
    "SETTINGS of a wrong size": (lambda p: raw(SETTINGS, 0, 0, bytes(5)), SIZE),
    "an acknowledgement with content": (lambda p: raw(SETTINGS, 1, 0, bytes(6)), SIZE),
    "ENABLE_PUSH of 2": (lambda p: setting(2, 2), PROTOCOL),
    "an initial window above 2^31-1": (lambda p: setting(4, 1 << 31), FLOW),
    "an initial window that overflows a stream": (
        lambda p: p.headers(1) + raw(WINDOW, 0, 1, uint((1 << 31) - 65536)) + setting(4, 65536), FLOW),
    "MAX_FRAME_SIZE below 2^14": (lambda p: setting(5, 16383), PROTOCOL),
    "MAX_FRAME_SIZE above 2^24-1": (lambda p: setting(5, 1 << 24), PROTOCOL),
    "PUSH_PROMISE": (lambda p: raw(PUSH, 4, 1, uint(2)), PROTOCOL),
    "PING on a stream": (lambda p: raw(PING, 0, 1, bytes(8)), PROTOCOL),
    "PING of a wrong size": (lambda p: raw(PING, 0, 0, bytes(7)), SIZE),
    "GOAWAY on a stream": (lambda p: raw(GOAWAY, 0, 1, bytes(8)), PROTOCOL),
    "GOAWAY of a wrong size": (lambda p: raw(GOAWAY, 0, 0, bytes(7)), SIZE),
    "WINDOW_UPDATE of a wrong size": (lambda p: raw(WINDOW, 0, 0, bytes(3)), SIZE),
    "WINDOW_UPDATE of 0 on the connection": (lambda p: raw(WINDOW, 0, 0, uint(0)), PROTOCOL),
    "WINDOW_UPDATE on an idle stream": (lambda p: raw(WINDOW, 0, 1, uint(1)), PROTOCOL),
    "a window above 2^31-1 on the connection": (lambda p: raw(WINDOW, 0, 0, uint((1 << 31) - 65535)), FLOW),
    "a frame above MAX_FRAME_SIZE": (lambda p: p.headers(1) + raw(D, 0, 1, bytes(16385)), SIZE),
    "such a frame before it has come": (lambda p: raw(0x42, 0, 0, bytes(16385))[:9], SIZE),
}  # fmt: skip


@pytest.mark.parametrize("name", CONNECTION)
def test_what_ends_the_connection(name):
    make, code = CONNECTION[name]
    peer = Peer()
    peer.say(make(peer))
    assert peer.goaway() is not None
    assert peer.goaway()[1] == code
    assert peer.connection.finished
    assert peer.say(peer.call(9)) == []
    assert peer.pool.buffered == 0


def bad(*fields: tuple[str, str], without: str = "", flags: int = 5):
    """Return a request on stream 1 with fields added in their place, and one left out."""

    def make(peer: Peer) -> bytes:
        base = [(":method", "POST"), (":scheme", "http"), (":path", "/"), ("content-type", "application/grpc")]
        kept = [field for field in base if field[0] != without]
        return raw(H, flags, 1, peer.encoder.encode([*kept, *fields], huffman=False))

    return make


def length(value: int, *data: bytes):
    """Return a call on stream 1 that announces a content-length."""

    def make(peer: Peer) -> bytes:
        parts = [raw(D, int(n == len(data) - 1), 1, part) for n, part in enumerate(data)]
        return peer.headers(1, [("content-length", str(value))], flags=4 if data else 5) + b"".join(parts)

    return make


def watch(peer: Peer) -> bytes:
    """Return a call on stream 1 that stays open on our side."""
    return peer.headers(1, [(":path", "/test.Echo/Watch")]) + raw(D, 1, 1, message(b""))


STREAM = {
    "DATA after END_STREAM": (lambda p: watch(p) + raw(D, 0, 1, b"x"), CLOSED),
    "HEADERS after END_STREAM": (lambda p: watch(p) + raw(H, 5, 1, p.encoder.encode([("a", "b")])), CLOSED),
    "HEADERS that end nothing": (lambda p: p.headers(1) + raw(H, 4, 1, p.encoder.encode([("a", "b")])), PROTOCOL),
    "a pseudo-header in trailers": (lambda p: p.headers(1) + raw(H, 5, 1, p.encoder.encode([(":path", "/")])), PROTOCOL),
    "PRIORITY of a wrong size": (lambda p: p.headers(1) + raw(PRIORITY, 0, 1, bytes(4)), SIZE),
    "WINDOW_UPDATE of 0": (lambda p: p.headers(1) + raw(WINDOW, 0, 1, uint(0)), PROTOCOL),
    "a window above 2^31-1": (lambda p: p.headers(1) + raw(WINDOW, 0, 1, uint((1 << 31) - 65535)), FLOW),
    "a capital in a name": (bad(("Capital", "x")), PROTOCOL),
    "a space in a name": (bad(("a b", "x")), PROTOCOL),
    "a colon in a name": (bad(("a:b", "x")), PROTOCOL),
    "an empty name": (bad(("", "x")), PROTOCOL),
    "a line break in a value": (bad(("a", "b\r\nc: d")), PROTOCOL),
    "a NUL in a value": (bad(("a", "b\0")), PROTOCOL),
    "a space at the end of a value": (bad(("a", "b ")), PROTOCOL),
    "a tab at the start of a value": (bad(("a", "\tb")), PROTOCOL),
    "a long malformed value": (bad(("a", "b" * 300 + "\n")), PROTOCOL),
    "connection": (bad(("connection", "close")), PROTOCOL),
    "keep-alive": (bad(("keep-alive", "1")), PROTOCOL),
    "proxy-connection": (bad(("proxy-connection", "close")), PROTOCOL),
    "transfer-encoding": (bad(("transfer-encoding", "chunked")), PROTOCOL),
    "upgrade": (bad(("upgrade", "h2c")), PROTOCOL),
    "te other than trailers": (bad(("te", "trailers, deflate")), PROTOCOL),
    "an unknown pseudo-header": (bad((":status", "200")), PROTOCOL),
    "a pseudo-header after others": (bad((":authority", "x")), PROTOCOL),
    "a method twice": (lambda p: raw(H, 5, 1, b"\x83\x83\x86\x84"), PROTOCOL),
    "a path twice": (lambda p: raw(H, 5, 1, b"\x83\x86\x84\x85"), PROTOCOL),
    "no method": (bad(without=":method"), PROTOCOL),
    "no scheme": (bad(without=":scheme"), PROTOCOL),
    "no path": (bad(without=":path"), PROTOCOL),
    "an empty path": (lambda p: raw(H, 5, 1, b"\x83\x86\x04\x00"), PROTOCOL),
    "content-type twice": (bad(("content-type", "application/grpc")), PROTOCOL),
    "two content-lengths": (bad(("content-length", "0"), ("content-length", "0")), PROTOCOL),
    "a content-length that is no number": (bad(("content-length", "+1")), PROTOCOL),
    "a content-length of many digits": (bad(("content-length", "1" * 19)), PROTOCOL),
    "less than content-length": (length(7, message(b"")), PROTOCOL),
    "more than content-length": (length(4, message(b"")), PROTOCOL),
    "more than content-length before the end": (length(4, message(b"")[:4], b"\0", b""), PROTOCOL),
    "no content where some is announced": (length(1), PROTOCOL),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAM)
def test_what_ends_a_stream_alone(name):
    make, code = STREAM[name]
    peer = Peer()
    replies = peer.replies(peer.say(make(peer)))
    assert replies[1].reset == code
    assert peer.goaway() is None
    assert peer.replies(peer.say(peer.call(9)))[9].messages == [b"hello"]
    assert not peer.connection._streams.open
    assert peer.pool.buffered == 0


LEGAL = {
    "PRIORITY on an idle stream": lambda p: raw(PRIORITY, 0, 7, bytes(5)),
    "PRIORITY on a closed stream": lambda p: p.call(1) + raw(PRIORITY, 0, 1, bytes(5)),
    "WINDOW_UPDATE on a closed stream": lambda p: p.call(1) + raw(WINDOW, 0, 1, uint(1)),
    "RST_STREAM on a closed stream": lambda p: p.call(1) + raw(RST, 0, 1, uint(8)),
    "an unknown frame": lambda p: raw(0x42, 0xFF, 0, b"whatever") + raw(0x42, 0, 1234567, b"whatever"),
    "an unknown setting": lambda p: setting(0x4242, 1),
    "flags that mean nothing": lambda p: raw(PING, 0xFE, 0, bytes(8)) + raw(SETTINGS, 0xFE, 0),
    "a reserved bit": lambda p: raw(WINDOW, 0, 0, b"\x80\0\0\1") + raw(WINDOW, 0, 1 << 31, uint(1)),
    "empty SETTINGS": lambda p: raw(SETTINGS, 0, 0),
    "an acknowledgement that nobody waits for": lambda p: raw(SETTINGS, 1, 0) + raw(PING, 1, 0, bytes(8)),
    "a table of no size": lambda p: raw(H, 5, 1, b"\x20\x83\x86\x84"),
    "two size updates": lambda p: raw(H, 5, 1, b"\x20\x3f\xe1\x1f\x83\x86\x84"),
    "trailers": lambda p: p.headers(1) + raw(D, 0, 1, message(b"x")) + raw(H, 5, 1, p.encoder.encode([("a", "b")])),
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_legal_ends_nothing(name):
    peer = Peer()
    came = peer.say(LEGAL[name](peer))
    assert all(frame.kind != "RST_STREAM" for frame in came)
    assert peer.goaway() is None
    peer.replies(came)
    assert peer.replies(peer.say(peer.call(9)))[9].messages == [b"hello"]


@pytest.mark.parametrize(
    "start",
    [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSN", frames.PREFACE + raw(PING, 0, 0, bytes(8)),
     frames.PREFACE + raw(SETTINGS, 1, 0)],
)  # fmt: skip
def test_a_connection_begins_with_its_preface_and_settings(start):
    for step in (1, len(start)):
        peer = Peer(greet=False)
        for at in range(0, len(start), step):
            peer.say(start[at : at + step])
        assert peer.goaway() == (0, PROTOCOL)


def test_our_settings_come_first_and_say_our_limits():
    peer = Peer(Limits(concurrent_streams=7, stream_window=99_999), greet=False)
    first, second = peer.say(b"")
    assert first.kind == "SETTINGS"
    pairs = {first.payload[n + 1]: int.from_bytes(first.payload[n + 2 : n + 6], "big") for n in range(0, 24, 6)}
    assert pairs == {3: 7, 4: 99_999, 5: 16_384, 6: 16_384}
    assert (second.kind, second.stream) == ("WINDOW_UPDATE", 0)
    assert [frame.kind for frame in peer.say(frames.PREFACE + raw(SETTINGS, 0, 0))] == ["SETTINGS"]


def test_a_ping_is_answered_with_its_content():
    peer = Peer()
    (answer,) = peer.say(raw(PING, 0, 0, b"12345678"))
    assert (answer.kind, answer.flags, answer.payload) == ("PING", 1, b"12345678")


def test_streams_above_the_limit_are_refused_one_by_one():
    peer = Peer(Limits(concurrent_streams=2))
    came = peer.say(*(peer.headers(number) for number in (1, 3, 5)))
    assert {number: reply.reset for number, reply in peer.replies(came).items()} == {5: REFUSED}
    assert peer.breaches == ["streams"]
    assert set(peer.replies(peer.say(*(raw(D, 1, n, message(b"x")) for n in (1, 3))))) == {1, 3}
    assert peer.replies(peer.say(peer.call(7)))[7].messages == [b"hello"]


def test_what_was_sent_before_a_reset_arrived_is_borne():
    peer = Peer()
    came = peer.say(peer.headers(1), raw(WINDOW, 0, 1, uint(0)))
    assert peer.replies(came)[1].reset == PROTOCOL
    assert (
        peer.say(raw(D, 0, 1, b"x"), raw(H, 5, 1, peer.encoder.encode([("a", "b")])), raw(WINDOW, 0, 1, uint(1))) == []
    )
    assert peer.goaway() is None

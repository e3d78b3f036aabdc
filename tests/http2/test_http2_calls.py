"""Calls: whole and in pieces, plain and packed, with deadlines, and what is no call of ours."""

import gzip
import itertools
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.http2 import grpc
from authorizer.http2.grpc import Status
from authorizer.http2.limits import Limits
from tests.http2.talk import REQUEST, Peer, Reply, message, raw, uint

OK = {"grpc-status": "0"}


def only(peer: Peer, *parts: bytes) -> Reply:
    (reply,) = peer.replies(peer.say(*parts)).values()
    return reply


def test_a_call_is_answered_with_one_message_and_a_status():
    peer = Peer()
    for number in (1, 3, 5):  # the first is answered by the long way, the others by the short one
        reply = only(peer, peer.call(number, b"hello"))
        assert reply.headers == {":status": "200", "content-type": "application/grpc"}
        assert reply.messages == [b"hello"]
        assert reply.trailers == OK
        assert reply.ended


def test_calls_are_answered_in_one_go_and_in_their_order():
    peer = Peer()
    came = peer.say(*(peer.call(number, uint(number)) for number in range(1, 65, 2)))
    assert [frame.stream for frame in came if frame.flags & 1] == list(range(1, 65, 2))
    assert all(reply.messages == [uint(number)] for number, reply in peer.replies(came).items())
    assert peer.connection._heads.known


def test_answers_go_out_a_few_at_a_time():
    peer = Peer(Limits(calls_per_turn=3))
    peer.say(peer.call(1, b"the long way"))
    peer.connection.receive(b"".join(peer.call(number, b"x") for number in range(3, 23, 2)), peer.now)
    turns = []
    while peer.connection.blocked:
        turns.append(len([frame for frame in peer.hear() if frame.flags & 1]))
        peer.connection.receive(b"", peer.now)
    assert turns == [3, 3, 3]
    assert len([frame for frame in peer.hear() if frame.flags & 1]) == 1


def test_what_has_ended_is_not_blocked():
    peer = Peer(Limits(calls_per_turn=3))
    peer.connection.receive(b"".join(peer.call(number, b"x") for number in range(1, 23, 2)), peer.now)
    assert peer.connection.blocked
    peer.connection.lose()
    assert not peer.connection.blocked


def test_headers_first_and_data_later():
    peer = Peer()
    peer.say(*(peer.headers(number) for number in range(1, 33, 2)))
    came = peer.say(*(raw(0, 1, number, message(uint(number))) for number in range(31, 0, -2)))
    assert all(reply.messages == [uint(number)] for number, reply in peer.replies(came).items())


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(marks)]


@given(
    content=st.binary(max_size=2000),
    cuts=st.lists(st.integers(0, 5000), max_size=6),
    reads=st.lists(st.integers(0, 5000), max_size=12),
    ends=st.booleans(),
    padding=st.integers(0, 255),
)
def test_a_message_may_come_in_any_pieces(content, cuts, reads, ends, padding):
    peer = Peer()
    parts = pieces(message(content), cuts)
    data = b"".join(
        raw(0, 8 | int(ends and n == len(parts)), 1, bytes((padding,)) + part + bytes(padding))
        for n, part in enumerate(parts, 1)
    )
    wire = peer.headers(1) + data + (b"" if ends else raw(0, 1, 1)) + peer.call(3, b"next")
    came = [frame for part in pieces(wire, reads) for frame in peer.say(part)]
    replies = peer.replies(came)
    assert replies[1].messages == [content]
    assert replies[3].messages == [b"next"]
    assert peer.pool.buffered == 0


@pytest.mark.parametrize("flags", [0, 8, 0x20, 0x28])
def test_headers_may_come_in_any_pieces(flags):
    peer = Peer()
    block = peer.encoder.encode(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/test.Echo/Say"),
            ("content-type", "application/grpc+proto"),
        ]
    )
    start = (
        (b"\x03" if flags & 8 else b"")
        + (b"\0\0\0\0\x10" if flags & 0x20 else b"")
        + block[:3]
        + bytes(3 if flags & 8 else 0)
    )
    reply = only(
        peer,
        raw(1, flags, 1, start),
        raw(9, 0, 1, block[3:9]),
        raw(9, 0, 1),
        raw(9, 4, 1, block[9:]),
        raw(0, 1, 1, message(b"x")),
    )
    assert reply.messages == [b"x"]


FAULTY = {
    "no message": (lambda p: p.headers(1, flags=5), grpc.INTERNAL),
    "no message, in DATA": (lambda p: p.headers(1) + raw(0, 1, 1), grpc.INTERNAL),
    "half a prefix": (lambda p: p.headers(1) + raw(0, 1, 1, b"\0\0\0"), grpc.INTERNAL),
    "half a message": (lambda p: p.headers(1) + raw(0, 1, 1, message(b"hello")[:-1]), grpc.INTERNAL),
    "two messages": (lambda p: p.headers(1) + raw(0, 1, 1, message(b"a") + message(b"b")), grpc.INTERNAL),
    "two messages in two frames": (
        lambda p: p.headers(1) + raw(0, 0, 1, message(b"a")) + raw(0, 1, 1, message(b"b")), grpc.INTERNAL),
    "packed in no way that was told": (lambda p: p.headers(1) + raw(0, 1, 1, message(b"a", 1)), grpc.INTERNAL),
    "packed by a flag that does not exist": (
        lambda p: p.headers(1, [("grpc-encoding", "gzip")]) + raw(0, 1, 1, message(gzip.compress(b"a"), 2)), grpc.INTERNAL),
    "not gzip": (lambda p: p.headers(1, [("grpc-encoding", "gzip")]) + raw(0, 1, 1, message(b"a", 1)), grpc.INTERNAL),
    "half a gzip": (
        lambda p: p.headers(1, [("grpc-encoding", "gzip")]) + raw(0, 1, 1, message(gzip.compress(b"a")[:-1], 1)),
        grpc.INTERNAL),
    "gzip and more": (
        lambda p: p.headers(1, [("grpc-encoding", "gzip")]) + raw(0, 1, 1, message(gzip.compress(b"a") + b"x", 1)),
        grpc.INTERNAL),
    "an unknown encoding": (lambda p: p.call(1, extra=[("grpc-encoding", "br")]), grpc.UNIMPLEMENTED),
    "an unknown method": (lambda p: p.call(1, extra=[(":path", "/test.Echo/Other")]), grpc.UNIMPLEMENTED),
    "a timeout without a unit": (lambda p: p.call(1, extra=[("grpc-timeout", "1")]), grpc.INTERNAL),
    "a timeout of nine digits": (lambda p: p.call(1, extra=[("grpc-timeout", "123456789S")]), grpc.INTERNAL),
    "a timeout below zero": (lambda p: p.call(1, extra=[("grpc-timeout", "-1S")]), grpc.INTERNAL),
    "a watch of what cannot be watched": (
        lambda p: p.headers(1, [(":path", "/test.Echo/Watch")]) + raw(0, 1, 1, message(b"bad")), 3),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTY)
def test_what_is_no_call_gets_a_status_and_nothing_else(name):
    make, code = FAULTY[name]
    peer = Peer()
    reply = only(peer, make(peer))
    assert reply.headers["grpc-status"] == str(code)
    assert reply.headers["grpc-message"]
    assert reply.ended
    assert reply.messages == []
    assert peer.service.heard == []
    assert peer.replies(peer.say(peer.call(9)))[9].messages == [b"hello"]
    assert peer.pool.buffered == 0


@pytest.mark.parametrize(
    ("fields", "status"),
    [([("content-type", "application/json")], "415"), ([("content-type", "application/grpc-web")], "415"), ([(":method", "GET")], "405")],
)  # fmt: skip
@pytest.mark.parametrize("parts", [1, 2])
def test_what_is_not_grpc_is_told_so_in_http(fields, status, parts):
    peer = Peer()
    wire = peer.headers(1, fields, flags=5) if parts == 1 else peer.headers(1, fields) + raw(0, 1, 1, b"{}")
    came = peer.say(wire)
    reply = peer.replies(came)[1]
    assert reply.headers[":status"] == status
    assert reply.ended
    body = b"".join(frame.payload for frame in came if frame.kind == "DATA")
    assert len(body) == int(reply.headers["content-length"])


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto", "application/grpc; charset=utf-8"])
def test_content_types_of_grpc(kind):
    peer = Peer()
    assert only(peer, peer.call(1, extra=[("content-type", kind)])).messages == [b"hello"]


@given(st.binary(max_size=3000))
def test_gzip_is_unpacked(content):
    peer = Peer()
    gzipped = [("grpc-encoding", "gzip")]
    assert only(peer, peer.headers(1, gzipped), raw(0, 1, 1, message(gzip.compress(content), 1))).messages == [content]
    assert only(peer, peer.headers(3, gzipped), raw(0, 1, 3, message(content))).messages == [content]


def test_a_message_above_the_limit_is_denied_before_it_has_come():
    peer = Peer(Limits(message_bytes=1000))
    assert only(peer, peer.call(1, bytes(1000))).messages == [bytes(1000)]
    reply = only(peer, peer.headers(3), raw(0, 0, 3, b"\0" + uint(1001)))
    assert (reply.messages, reply.trailers, reply.reset) == ([b"refused: body_limit"], OK, 0)
    assert peer.say(raw(0, 0, 3, bytes(996)), raw(0, 1, 3)) == []  # what was on its way
    assert only(peer, peer.call(5, bytes(1001))).messages == [b"refused: body_limit"]
    assert peer.breaches == ["message", "message"]
    assert peer.goaway() is None


def test_a_packed_message_above_the_limit_is_denied_without_unpacking_it():
    peer = Peer(Limits(message_bytes=20_000))
    bomb = gzip.compress(bytes(10_000_000))
    reply = only(peer, peer.headers(1, [("grpc-encoding", "gzip")]), raw(0, 1, 1, message(bomb, 1)))
    assert reply.messages == [b"refused: body_limit"]
    with pytest.raises(zlib.error):
        grpc.inflate(bomb[:-5], 10_000_000)
    assert grpc.inflate(bomb, 10_000_000) == bytes(10_000_000)


def test_what_is_sent_to_no_method_is_dropped_and_bounded():
    peer = Peer(Limits(message_bytes=1000))
    peer.say(peer.headers(1, [(":path", "/none")]))
    assert peer.say(raw(0, 0, 1, bytes(1000))) == []
    assert peer.pool.buffered == 0
    reply = only(peer, raw(0, 0, 1, bytes(1)))
    assert (reply.headers["grpc-status"], reply.reset) == ("12", 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"0n", 0), (b"1n", 1e-9), (b"20u", 2e-5), (b"200m", 0.2), (b"3S", 3), (b"2M", 120), (b"1H", 3600), (b"99999999H", 359999996400),
     (b"", None), (b"S", None), (b"1", None), (b"1s", None), (b"1.5S", None), (b"\xb2S", None), (b"+1S", None)],
)  # fmt: skip
def test_timeouts(text, expected):
    found = grpc.seconds(text)
    assert found == expected if expected is None else found == pytest.approx(expected)


def test_the_method_is_told_the_deadline():
    peer = Peer()
    peer.say(peer.call(1), peer.call(3, extra=[("grpc-timeout", "250m")]))
    assert [expires for _, expires in peer.service.heard] == [float("inf"), pytest.approx(peer.now + 0.25)]


def test_a_method_may_end_a_call_with_a_status():
    peer = Peer()
    peer.service.answer = lambda _: Status(5, "100% unknown\n")
    for number in (1, 3):
        reply = only(peer, peer.call(number))
        assert (reply.headers["grpc-status"], reply.messages) == ("5", [])
    assert reply.headers["grpc-message"].startswith("100%25 unknown")


def test_headers_above_the_limit_are_denied_and_the_decoder_stays_in_step():
    peer = Peer()
    peer.say(peer.call(1))
    large = [(f"x-{n}", "v" * 600) for n in range(100)]
    block = peer.encoder.encode(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/test.Echo/Say"),
            ("content-type", "application/grpc"),
            *large,
        ]
    )
    parts = [block[at : at + 16_000] for at in range(0, len(block), 16_000)]
    wire = b"".join(raw(9 if n else 1, 4 * (n == len(parts) - 1), 3, part) for n, part in enumerate(parts))
    reply = only(peer, wire, raw(0, 1, 3, message(b"x")))
    assert reply.messages == [b"refused: header_limit"]
    assert only(peer, peer.call(5, extra=[("x-99", "v" * 600)])).messages == [b"hello"]
    assert peer.breaches == ["header_list"]
    assert peer.goaway() is None


def test_a_call_that_is_taken_back_is_forgotten():
    peer = Peer()
    assert peer.say(peer.headers(1), raw(0, 0, 1, message(b"hello")[:7]), raw(3, 0, 1, uint(8))) == []
    assert peer.pool.buffered == 0
    assert peer.service.heard == []
    assert only(peer, peer.call(3)).messages == [b"hello"]


@pytest.mark.parametrize(("sent", "heard"), [([], ""), (["00-ab-cd-01"], "00-ab-cd-01"), (["x" * 99], "x" * 56)])
def test_a_call_tells_the_trace_that_it_is_part_of(sent, heard):
    peer = Peer()
    for number in (1, 3):
        assert only(peer, peer.call(number, extra=[("traceparent", value) for value in sent])).messages == [b"hello"]
    assert peer.service.traces == [heard, heard]


def test_a_call_that_tells_several_traces_tells_none():
    peer = Peer()
    fields = [*REQUEST, ("traceparent", "a"), ("traceparent", "b")]
    peer.say(raw(1, 4, 1, peer.encoder.encode(fields)) + raw(0, 1, 1, message(b"hello")))
    assert peer.service.traces == [""]

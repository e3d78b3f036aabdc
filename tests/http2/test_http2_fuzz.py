"""Whatever a peer sends: no exception, nothing kept without bound, and the cuts between reads change nothing."""

import itertools
import struct

import h2.config
import h2.connection
import h2.events
import hpack
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer.http2.connection import Connection
from authorizer.http2.frames import PREFACE
from authorizer.http2.limits import Limits, Pool
from tests.http2.talk import Peer, Service, message, parse, raw, uint

LIMITS = Limits(
    concurrent_streams=4, buffered_bytes=40_000, message_bytes=20_000, stream_window=65_535, connection_window=100_000,
    output_bytes=30_000, resets=20, stream_errors=20, patience=300, header_list_bytes=500,
)  # fmt: skip

NUMBERS = st.sampled_from([0, 1, 2, 3, 5, 7, 9, 11, (1 << 31) - 1, 1 << 31])
PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([0, 1, 5, 16_384, 65_535, (1 << 31) - 1, 1 << 31]).map(uint),
    st.tuples(st.integers(1, 6), st.sampled_from([0, 1, 10, 65_535, 1 << 24, 1 << 31])).map(
        lambda p: struct.pack(">HI", *p)
    ),
    st.integers(0, 16_384).map(bytes),
    st.binary(max_size=30).map(message),
    st.integers(0, 30_000).map(lambda size: b"\0" + uint(size)),
)
FIELDS = [
    (":method", "POST"), (":method", "GET"), (":scheme", "http"), (":path", "/test.Echo/Say"), (":path", "/test.Echo/Watch"),
    (":path", "/none"), ("te", "trailers"), ("content-type", "application/grpc"), ("grpc-timeout", "10m"),
    ("grpc-encoding", "gzip"), ("content-length", "12"), ("x", "y" * 400), ("Bad", "x"),
]  # fmt: skip
USUAL = [FIELDS[0], FIELDS[2], FIELDS[3], FIELDS[7]]


@st.composite
def conversations(draw) -> bytes:
    """Bytes of a peer that mostly speaks HTTP/2 and sometimes does not."""
    encoder = hpack.Encoder()
    parts = [PREFACE, raw(4, 0, 0, draw(st.sampled_from([b"", b"\0\4" + uint(10), b"\0\4" + uint(1 << 20)])))]
    number = -1
    for kind in draw(st.lists(st.integers(0, 14), max_size=40)):
        if kind > 9:  # a call, more or less
            number += draw(st.sampled_from([2, 2, 2, 0, 4]))
            fields = draw(st.one_of(st.just(USUAL), st.lists(st.sampled_from(FIELDS), max_size=8)))
            parts.append(raw(1, draw(st.sampled_from([4, 5, 0])), number & 0x7FFFFFFF, encoder.encode(fields)))
            parts.append(
                raw(0, draw(st.sampled_from([1, 1, 0])), number & 0x7FFFFFFF, message(draw(st.binary(max_size=50))))
            )
        else:
            where = draw(NUMBERS) if draw(st.booleans()) else max(number, 1)
            parts.append(raw(kind, draw(st.sampled_from([0, 1, 4, 5, 8, 0x20, 0xFF])), where, draw(PAYLOADS)))
    return b"".join(parts) + draw(st.binary(max_size=20))


def answered(reads: list[bytes], step: float = 0.0) -> tuple[bytes, Connection, list[str]]:
    """Return what a connection says to reads, as a door would run it."""
    service, pool, breaches, now = Service(), Pool(), [], 0.0
    connection = Connection(service.methods(), LIMITS, pool, now, breaches.append)
    out = []
    for data in reads:
        now += step
        if now >= connection.alarm:
            connection.tick(now)
        connection.receive(data, now)
        out.append(connection.take())
        while connection.blocked:
            connection.receive(b"", now)
            out.append(connection.take())
        assert len(connection._tail) < 16_384 + 9
        assert 0 <= pool.buffered <= LIMITS.buffered_bytes
        assert pool.buffered == sum(stream.held for stream in connection._streams.open.values())
        assert len(connection._streams.open) <= LIMITS.concurrent_streams
        for watch in service.watches:
            watch.send(b"told")
    out.append(connection.take())
    connection.lose()
    assert pool.buffered == 0
    return b"".join(out), connection, breaches


def cut(data: bytes, at: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(mark % (len(data) + 1) for mark in at)})
    return [data[a:b] for a, b in itertools.pairwise(marks)]


@settings(max_examples=300)
@given(conversations(), st.lists(st.integers(0, 1 << 20), max_size=30), st.sampled_from([0.0, 0.001, 1.0]))
def test_any_conversation_is_survived(data, marks, step):
    out, _, _ = answered(cut(data, marks), step)
    parse(out)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_survived(data, greet):
    parse(answered([(PREFACE + raw(4, 0, 0) if greet else b"") + data])[0])


@settings(max_examples=200)
@given(conversations(), st.lists(st.integers(0, 1 << 20), max_size=30))
def test_the_cuts_between_reads_change_nothing(data, marks):
    assert calls([data]) == calls(cut(data, marks))


def calls(reads: list[bytes]) -> tuple[list[bytes], dict[int, bytes]]:
    """Return the calls that were made and all that was said on each stream; the connection's own frames may shift."""
    service = Service()
    connection = Connection(service.methods(), LIMITS, Pool(), 0.0)
    out = b""
    for data in reads:
        connection.receive(data, 0.0)
        out += connection.take()
        while connection.blocked:
            connection.receive(b"", 0.0)
            out += connection.take()
    streams: dict[int, bytes] = {}
    for frame in parse(out):
        if frame.stream:
            streams[frame.stream] = (
                streams.get(frame.stream, b"") + bytes((frame.flags,)) + frame.kind.encode() + frame.payload
            )
    return [content for content, _ in service.heard], streams


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.binary(max_size=3000), st.sampled_from(["whole", "slow", "reset", "ping", "window"])), max_size=30
    ),
    st.sampled_from([100, 65_535]),
)
def test_another_implementation_of_the_protocol_agrees(steps, window):
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    client.initiate_connection()
    client.update_settings({4: window})
    peer = Peer(greet=False)
    data: dict[int, bytes] = {}
    ended: dict[int, dict[str, str]] = {}

    def exchange() -> None:
        peer.connection.receive(client.data_to_send(), 0.0)
        for event in client.receive_data(peer.connection.take()):
            if isinstance(event, h2.events.DataReceived):
                data[event.stream_id] = data.get(event.stream_id, b"") + event.data
                client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if isinstance(event, h2.events.TrailersReceived):
                ended[event.stream_id] = dict(event.headers)
            assert not isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated)

    wanted = {}
    for content, how in steps:
        if how == "ping":
            client.ping(b"12345678")
        elif how == "window":
            client.increment_flow_control_window(1000)
        else:
            number = client.get_next_available_stream_id()
            client.send_headers(number, [*CALL])
            if how == "reset":
                client.reset_stream(number)
                continue
            body = message(content)
            for at in range(0, len(body), 700 if how == "slow" else 10_000):
                client.send_data(number, body[at : at + 700] if how == "slow" else body)
                if how == "slow":
                    exchange()
            client.end_stream(number)
            wanted[number] = body
        exchange()
    for _ in range(100):
        exchange()
    assert data == wanted
    assert ended == {number: {"grpc-status": "0"} for number in wanted}


CALL = [
    (":method", "POST"), (":scheme", "http"), (":path", "/test.Echo/Say"), (":authority", "x"), ("te", "trailers"),
    ("content-type", "application/grpc"),
]  # fmt: skip

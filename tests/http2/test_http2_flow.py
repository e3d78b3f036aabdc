"""Windows, both ways; and what waits for them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authorizer.http2.limits import Limits
from tests.http2.talk import Peer, message, raw, uint

WINDOW = 8


def initial(size: int) -> bytes:
    return (4).to_bytes(2, "big") + uint(size)


def frame_size(size: int) -> bytes:
    return (5).to_bytes(2, "big") + uint(size)


def sent(frames) -> list[int]:
    return [len(frame.payload) for frame in frames if frame.kind == "DATA"]


def test_an_answer_waits_for_the_window_of_its_stream():
    peer = Peer(settings=initial(10))
    came = peer.say(peer.call(1, bytes(30)))
    assert sent(came) == [10]
    assert sent(peer.say(raw(WINDOW, 0, 1, uint(1)))) == [1]
    assert peer.pool.buffered == 24
    came += peer.say(raw(WINDOW, 0, 1, uint(100)))
    assert sent(came) == [10, 24]
    assert came[-1].flags & 1
    assert peer.pool.buffered == 0


def test_an_answer_waits_for_the_window_of_the_connection_and_others_get_their_turn():
    peer = Peer(settings=initial(1 << 20))
    content = bytes(50_000)
    came = peer.say(peer.headers(1), raw(0, 1, 1, message(b"")), peer.call(3, b"x"))
    peer.service.answer = lambda _: content
    came = peer.say(peer.call(5), peer.call(7))
    assert sum(sent(came)) == 65_535 - 11
    assert sum(sent(peer.say(peer.call(9)))) == 0
    came = peer.say(raw(WINDOW, 0, 0, uint(1 << 20)))
    assert {frame.stream for frame in came if frame.flags & 1} == {7, 9}
    assert peer.pool.buffered == 0


def test_a_window_below_zero_is_filled_first():
    peer = Peer(settings=initial(100))
    assert sent(peer.say(peer.call(1, bytes(200)))) == [100]
    assert sent(peer.say(raw(4, 0, 0, initial(0)))) == []
    assert sent(peer.say(raw(WINDOW, 0, 1, uint(100)))) == []
    assert sent(peer.say(raw(WINDOW, 0, 1, uint(5)))) == [5]
    assert sent(peer.say(raw(4, 0, 0, initial(50)))) == [50]
    assert sent(peer.say(raw(4, 0, 0, initial(50_000)))) == [50]


def test_frames_are_no_larger_than_the_peer_takes():
    peer = Peer(settings=initial(1 << 20) + frame_size(20_000))
    assert sent(peer.say(peer.call(1, bytes(16_000)))) == [16_005]
    peer.service.answer = lambda _: bytes(45_000)
    assert sent(peer.say(peer.call(3))) == [20_000, 20_000, 5_005]


def test_answers_that_are_not_grpc_wait_too():
    peer = Peer(settings=initial(1))
    came = peer.say(peer.headers(1, [(":method", "GET"), ("content-type", "text/plain")], flags=5))
    assert sent(came) == [1]
    came = peer.say(raw(WINDOW, 0, 1, uint(100)))
    assert sent(came)[-1] == 0
    assert came[-1].flags & 1


def test_an_answer_that_is_taken_back_is_forgotten():
    peer = Peer(settings=initial(1))
    peer.say(peer.call(1, bytes(100)))
    assert peer.pool.buffered
    assert peer.say(raw(3, 0, 1, uint(8))) == []
    assert peer.pool.buffered == 0
    assert peer.say(raw(WINDOW, 0, 1, uint(100)), raw(WINDOW, 0, 0, uint(100))) == []


def test_our_windows_are_given_back_as_they_are_used():
    peer = Peer(Limits(stream_window=65_536, connection_window=1 << 20))
    peer.say(peer.headers(1), raw(0, 0, 1, b"\0" + uint(200_000)))
    owed, given = 5, {0: 0, 1: 0}
    for _ in range(12):
        for frame in peer.say(raw(0, 0, 1, bytes(16_000))):
            given[frame.stream] += int.from_bytes(frame.payload, "big")
        owed += 16_000
        assert owed - given[1] < 65_536
    assert given[1]
    for number in range(3, 201, 2):
        for frame in peer.say(peer.call(number, bytes(16_000))):
            if frame.kind == "WINDOW_UPDATE":
                given[0] += int.from_bytes(frame.payload, "big")
        peer.say(raw(WINDOW, 0, 0, uint(16_005)))
        owed += 16_005
        assert 0 <= owed - given[0] < 1 << 20
    assert given[0]


def test_padding_is_counted():
    peer = Peer(Limits(stream_window=65_536))
    came = peer.say(peer.headers(1), *(raw(0, 8, 1, b"\xff" + bytes(255)) for _ in range(150)))
    assert sum(int.from_bytes(frame.payload, "big") for frame in came if frame.kind == "WINDOW_UPDATE") > 32_768


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(0, 40_000), min_size=1, max_size=6),
    grants=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 60_000)), max_size=40),
    first=st.integers(0, 70_000),
)
def test_no_window_is_overrun_and_all_is_sent_in_the_end(sizes, grants, first):
    peer = Peer(settings=initial(first))
    streams = {2 * n + 1: size for n, size in enumerate(sizes)}
    windows = {0: 65_535} | dict.fromkeys(streams, first)
    wanted = iter(sizes)
    peer.service.answer = lambda _: bytes(next(wanted))
    came = peer.say(*(peer.call(number, b"") for number in streams))
    everything = list(came)

    def account(frames):
        for frame in frames:
            if frame.kind == "DATA":
                windows[0] -= len(frame.payload)
                windows[frame.stream] -= len(frame.payload)
        assert min(windows.values()) >= 0

    account(came)
    ended = {frame.stream for frame in came if frame.flags & 1}
    final = [(n, 1 << 20) for n in range(len(sizes) + 1)]
    for index, amount in [*grants, *final]:
        number = 0 if index == 0 else 2 * index - 1
        if number and (number not in streams or number in ended):
            continue
        windows[number] += amount
        came = peer.say(raw(WINDOW, 0, number, uint(amount)))
        account(came)
        everything += came
        ended |= {frame.stream for frame in came if frame.flags & 1}
    replies = peer.replies(everything)
    assert [len(replies[number].messages[0]) for number in streams] == sizes
    assert all(reply.trailers == {"grpc-status": "0"} for reply in replies.values())
    assert peer.pool.buffered == 0


def test_reading_stops_while_answers_pile_up():
    peer = Peer(Limits(output_bytes=50_000), settings=initial(1 << 30))
    peer.say(raw(WINDOW, 0, 0, uint(1 << 30)))
    peer.service.answer = lambda _: bytes(20_000)
    peer.connection.receive(b"".join(peer.call(number, b"x") for number in range(1, 41, 2)), peer.now)
    rounds = 0
    while peer.connection.blocked:
        assert len(peer.service.heard) == 3 * (rounds + 1)
        peer.hear()
        peer.connection.receive(b"", peer.now)
        rounds += 1
    peer.hear()
    assert len(peer.service.heard) == 20


@pytest.mark.parametrize("process", [True, False])
def test_answers_that_nobody_takes_are_bounded(process):
    limit = {"process_buffered_bytes": 100_000} if process else {"buffered_bytes": 100_000}
    peer = Peer(Limits(**limit), settings=initial(0))
    peer.service.answer = lambda _: bytes(30_000)
    came = peer.say(*(peer.call(number, b"x") for number in range(1, 21, 2)))
    assert peer.pool.buffered <= 100_000
    assert [reply.reset for reply in peer.replies(came).values()] == [None] * 3 + [8] * 7
    assert set(peer.breaches) == {"buffered"}


def test_one_message_is_always_borne():
    peer = Peer(Limits(buffered_bytes=1000))
    parts = message(bytes(16_000))
    came = peer.say(peer.headers(1), raw(0, 0, 1, parts[:9000]), raw(0, 1, 1, parts[9000:]))
    assert peer.replies(came)[1].messages == [bytes(16_000)]


@pytest.mark.parametrize("process", [True, False])
def test_messages_that_do_not_end_are_bounded_and_denied(process):
    limit = {"process_buffered_bytes": 100_000} if process else {"buffered_bytes": 100_000}
    peer = Peer(Limits(**limit))
    came = peer.say(
        *(
            peer.headers(n) + raw(0, 0, n, b"\0" + uint(30_000)) + raw(0, 0, n, bytes(15_000)) * 2
            for n in range(1, 9, 2)
        )
    )
    assert peer.pool.buffered <= 100_000
    reply = peer.replies(came)[7]
    assert (reply.messages, reply.reset) == ([b"refused: overload"], 0)
    assert peer.breaches == ["buffered"]

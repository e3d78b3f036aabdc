"""What time brings: deadlines, slow and idle peers, farewells."""

from math import inf

import pytest

from authorizer.http2 import frames
from authorizer.http2.grpc import Status, margin
from authorizer.http2.limits import Limits
from authorizer.http2.streams import Watch
from tests.http2.talk import Peer, message, raw, uint

WATCH = [(":path", "/test.Echo/Watch")]
PING, GOAWAY, WINDOW = 6, 7, 8


def test_a_slow_preface_ends_the_connection():
    for start in (b"", frames.PREFACE[:5], frames.PREFACE, frames.PREFACE + raw(4, 0, 0)[:8]):
        peer = Peer(Limits(preface_seconds=3), greet=False)
        peer.say(start)
        peer.wait(2.9)
        assert not peer.connection.finished
        peer.wait(0.2)
        assert peer.connection.finished
        assert peer.goaway() == (0, frames.SETTINGS_TIMEOUT)
        assert peer.breaches == ["preface"]
        assert peer.connection.alarm == inf


def test_settings_must_be_acknowledged():
    peer = Peer(Limits(settings_seconds=3), greet=False)
    peer.say(frames.PREFACE, raw(4, 0, 0))
    assert peer.replies(peer.say(peer.call(1)))[1].messages == [b"hello"]
    peer.wait(3.1)
    assert peer.goaway() == (1, frames.SETTINGS_TIMEOUT)
    assert peer.breaches == ["settings_timeout"]


def test_an_idle_connection_is_asked_to_go_and_a_busy_one_is_not():
    peer = Peer(Limits(idle_seconds=60))
    for number in (1, 3):
        peer.wait(59)
        peer.say(peer.call(number))
    assert peer.goaway() is None
    peer.wait(60.5)
    assert peer.goaway() == (frames.MAX_STREAM_ID, frames.NO_ERROR)
    assert peer.replies(peer.say(peer.call(5)))[5].messages == [b"hello"]  # sent before the peer knew
    peer.wait(2)
    assert peer.goaway() == (5, frames.NO_ERROR)
    assert peer.connection.finished
    assert peer.breaches == ["idle"]


def test_a_watch_keeps_a_connection():
    peer = Peer(Limits(idle_seconds=60))
    peer.say(peer.headers(1, WATCH), raw(0, 1, 1, message(b"")))
    peer.service.watches[0].send(b"first")
    peer.wait(1000)
    assert peer.goaway() is None
    peer.say(raw(3, 0, 1, uint(8)))
    while peer.goaway() is None:
        peer.wait(1)
    assert peer.goaway() == (frames.MAX_STREAM_ID, frames.NO_ERROR)


@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_farewell_has_two_steps_and_loses_nothing(acknowledged):
    peer = Peer(Limits(goaway_seconds=1))
    peer.say(peer.headers(1), raw(0, 0, 1, message(b"hello")[:6]))
    peer.connection.shutdown(peer.now)
    first, ping = peer.hear()
    assert (first.kind, first.code) == ("GOAWAY", 0)
    assert peer.goaway()[0] == frames.MAX_STREAM_ID
    peer.connection.shutdown(peer.now)
    assert peer.hear() == []
    assert peer.replies(peer.say(peer.call(3)))[3].messages == [b"hello"]
    came = peer.say(raw(PING, 1, 0, ping.payload)) if acknowledged else peer.wait(1.1)
    assert [frame.kind for frame in came] == ["GOAWAY"]
    assert peer.goaway() == (3, frames.NO_ERROR)
    assert peer.say(peer.call(5), raw(0, 0, 5, b"late")) == []  # the peer asks elsewhere
    assert not peer.connection.finished
    assert peer.replies(peer.say(raw(0, 1, 1, b"ello")))[1].messages == [b"hello"]
    assert peer.connection.finished


def test_headers_after_a_farewell_still_keep_the_decoder_in_step():
    peer = Peer()
    peer.say(peer.headers(1))
    peer.connection.shutdown(peer.now)
    peer.wait(1.1)
    peer.say(peer.headers(3, [("x-new", "value")]))
    came = peer.say(raw(0, 0, 1, message(b"x")), raw(1, 5, 1, peer.encoder.encode([("x-new", "value")])))
    assert peer.replies(came)[1].messages == [b"x"]


def test_a_peer_that_says_farewell_is_let_go_when_its_calls_are_answered():
    peer = Peer()
    peer.say(peer.headers(1), raw(GOAWAY, 0, 0, bytes(8)))
    peer.wait(2)
    assert not peer.connection.finished
    assert peer.replies(peer.say(raw(0, 1, 1, message(b"x"))))[1].messages == [b"x"]
    assert peer.connection.finished


def test_watches_end_with_a_farewell():
    peer = Peer()
    peer.say(peer.headers(1, WATCH), raw(0, 1, 1, message(b"")))
    peer.service.watches[0].send(b"first")
    peer.connection.shutdown(peer.now)
    came = peer.hear() + peer.wait(2)
    assert peer.replies(came)[1].trailers["grpc-status"] == "14"
    assert peer.connection.finished


def test_a_call_whose_message_is_late_is_denied_before_its_deadline():
    peer = Peer()
    started = peer.now
    peer.say(peer.headers(1, [("grpc-timeout", "200m")]), raw(0, 0, 1, message(b"hello")[:7]))
    assert peer.connection.alarm == pytest.approx(started + 0.18)
    assert peer.wait(0.17) == []
    reply = peer.replies(peer.wait(0.02))[1]
    assert (reply.messages, reply.trailers, reply.reset) == ([b"refused: deadline"], {"grpc-status": "0"}, 0)
    assert peer.say(raw(0, 1, 1, b"llo")) == []
    assert peer.breaches == []
    assert peer.pool.buffered == 0


def test_a_deadline_holds_for_calls_whose_headers_are_known():
    peer = Peer()
    peer.say(peer.call(1, extra=[("grpc-timeout", "1S")]), peer.call(3, extra=[("grpc-timeout", "1S")]))
    peer.say(peer.headers(5, [("grpc-timeout", "1S")]), peer.headers(7, [("grpc-timeout", "1S")]))
    assert set(peer.connection._streams.open) == {5, 7}
    replies = peer.replies(peer.wait(1))
    assert [replies[number].messages for number in (5, 7)] == [[b"refused: deadline"]] * 2


def test_a_message_that_never_ends_is_denied():
    peer = Peer(Limits(request_seconds=5))
    peer.say(peer.headers(1), peer.headers(3, [(":path", "/none")]))
    replies = peer.replies(peer.wait(5.1))
    assert replies[1].messages == [b"refused: deadline"]
    assert replies[3].headers["grpc-status"] == "12"
    assert peer.breaches == ["slow_request", "slow_request"]


def test_the_margin_of_a_deadline():
    assert [margin(seconds) for seconds in (inf, 0.0, 0.1, 0.2, 10.0)] == pytest.approx([0, 0, 0.01, 0.02, 0.02])


def test_an_answer_that_nobody_takes_is_given_up():
    peer = Peer(Limits(stalled_seconds=5), settings=b"\0\4" + uint(10))
    peer.say(peer.call(1, bytes(100)))
    peer.wait(4)
    peer.say(raw(WINDOW, 0, 1, uint(1)))
    assert peer.wait(4) == []
    came = peer.wait(1.1)
    assert [(frame.kind, frame.code) for frame in came] == [("RST_STREAM", frames.CANCEL)]
    assert peer.breaches == ["stalled"]
    assert peer.pool.buffered == 0


def test_a_watch_sends_one_message_at_a_time():
    peer = Peer(settings=b"\0\4" + uint(8))
    peer.say(peer.headers(1, WATCH), raw(0, 1, 1, message(b"")))
    watch: Watch = peer.service.watches[0]
    assert watch.send(b"first")
    assert not watch.send(b"second")
    assert not watch.closed
    came = peer.hear() + peer.say(raw(WINDOW, 0, 1, uint(100)))
    assert watch.send(b"third")
    watch.finish(Status(0))
    watch.finish(Status(1))
    came += peer.hear()
    reply = peer.replies(came)[1]
    assert (reply.messages, reply.trailers) == ([b"first", b"third"], {"grpc-status": "0"})
    assert watch.closed
    assert not watch.send(b"fourth")


def test_a_watch_ends_at_its_deadline():
    peer = Peer()
    peer.say(peer.headers(1, [*WATCH, ("grpc-timeout", "2S")]), raw(0, 1, 1, message(b"")))
    watch = peer.service.watches[0]
    watch.send(b"first")
    came = peer.hear()
    assert peer.wait(1.9) == []
    reply = peer.replies(came + peer.wait(0.2))[1]
    assert reply.trailers["grpc-status"] == "4"
    assert watch.closed


def test_nothing_is_kept_for_a_peer_that_is_gone():
    peer = Peer(settings=b"\0\4" + uint(10))
    peer.say(peer.call(1, bytes(1000)), peer.headers(3), raw(0, 0, 3, message(bytes(1000))[:500]))
    peer.say(peer.headers(5, WATCH), raw(0, 1, 5, message(b"")))
    assert peer.pool.buffered
    peer.connection.lose()
    assert peer.pool.buffered == 0
    assert peer.service.watches[0].closed
    peer.connection.tick(peer.now + 1000)
    peer.connection.shutdown(peer.now)
    assert peer.hear() == []

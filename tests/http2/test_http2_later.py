"""Answers that are not there yet: they keep their stream, come in any order, and give way to deadlines and resets."""

from authorizer.http2 import frames
from authorizer.http2.grpc import Later, Status
from tests.http2.talk import Peer, raw, uint


class Promises:
    """Keeps the ways to give answers, by what was asked."""

    def __init__(self, peer):
        self.gives = {}
        peer.service.answer = lambda content: Later(lambda give: self.gives.__setitem__(bytes(content), give))


def test_answers_come_in_any_order_and_others_need_not_wait():
    peer = Peer()
    promises = Promises(peer)
    assert peer.replies(peer.say(peer.call(1, b"a"), peer.call(3, b"b"))) == {}
    peer.service.answer = lambda content: content
    assert peer.replies(peer.say(peer.call(5, b"c")))[5].messages == [b"c"]
    promises.gives[b"b"](b"second")
    promises.gives[b"a"](Status(14, "no"))
    replies = peer.replies(peer.hear())
    assert (replies[3].messages, replies[3].trailers["grpc-status"]) == ([b"second"], "0")
    assert replies[1].headers["grpc-status"] == "14"
    assert replies[1].ended
    assert replies[3].ended


def test_an_answer_may_be_there_at_once():
    peer = Peer()
    peer.service.answer = lambda content: Later(lambda give: give(content))
    assert peer.replies(peer.say(peer.call(1)))[1].messages == [b"hello"]


def test_a_request_in_pieces_can_be_answered_later():
    peer = Peer()
    promises = Promises(peer)
    peer.say(peer.headers(1), raw(0, 0, 1, b"\0\0\0"), raw(0, 1, 1, b"\0\1x"))
    promises.gives[b"x"](b"late")
    assert peer.replies(peer.hear())[1].messages == [b"late"]


def test_shortly_before_the_deadline_the_call_is_refused_and_the_answer_let_go():
    peer = Peer()
    promises = Promises(peer)
    peer.say(peer.call(1, b"a", [("grpc-timeout", "1S")]))
    assert peer.replies(peer.wait(0.97)) == {}
    assert peer.replies(peer.wait(0.02))[1].messages == [b"refused: deadline"]
    promises.gives[b"a"](b"too late")
    assert peer.hear() == []
    assert (peer.service.refused, peer.breaches) == (["deadline"], [])


def test_a_reset_or_a_lost_connection_lets_the_answer_go():
    peer = Peer()
    promises = Promises(peer)
    peer.say(peer.call(1, b"a"), peer.call(3, b"b"))
    peer.say(raw(3, 0, 1, uint(8)))
    promises.gives[b"a"](b"nobody")
    assert peer.hear() == []
    peer.connection.lose()
    promises.gives[b"b"](b"nobody")
    assert peer.pool.buffered == 0


def test_an_answer_counts_once():
    peer = Peer()
    promises = Promises(peer)
    peer.say(peer.call(1, b"a"))
    promises.gives[b"a"](b"one")
    promises.gives[b"a"](b"two")
    assert peer.replies(peer.hear())[1].messages == [b"one"]


def test_a_farewell_waits_for_what_is_promised():
    peer = Peer()
    promises = Promises(peer)
    peer.say(peer.call(1, b"a"))
    peer.connection.shutdown(peer.now)
    peer.wait(30)
    assert not peer.connection.finished
    promises.gives[b"a"](b"there")
    assert peer.replies(peer.hear())[1].messages == [b"there"]
    peer.wait(2)
    assert peer.connection.finished
    assert peer.goaway() == (1, frames.NO_ERROR)

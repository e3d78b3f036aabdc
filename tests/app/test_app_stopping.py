"""A process says that it drains, once."""

import logging

from authorizer.app.stopping import Stopping


def test_draining_is_said_once(caplog):
    caplog.set_level(logging.INFO, "authorizer.app")
    stopping = Stopping()
    stopping.ask(2.5)
    stopping.ask(2.5)
    assert caplog.messages == ["draining for 2.5 s"]
    assert stopping.status == 130


def test_who_does_not_drain_says_nothing(caplog):
    caplog.set_level(logging.INFO, "authorizer.app")
    Stopping().ask(0.0)
    assert caplog.messages == []

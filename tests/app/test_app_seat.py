"""A worker's place: processes that lie, hang, say nothing or will not go."""

import asyncio
import sys
import tempfile
from collections.abc import Callable

import pytest

from authorizer import settings
from authorizer.app import seat as module
from authorizer.app.channel import News
from authorizer.app.seat import Seat
from authorizer.errors import ListenError
from authorizer.model import Decision, Request
from authorizer.reasons import reason
from authorizer.telemetry.metrics import Metrics
from authorizer.telemetry.numbers import Ledger, numbers
from tests.e2e.fleet import until

SETTINGS = settings.load("policies: p\nworkers: 2\next_authz: {listen: '127.0.0.1:0'}\n")

WORKER = """
import asyncio, signal, socket, sys, time
from authorizer.app import channel
from authorizer.app.channel import *
from authorizer.telemetry.metrics import DecisionKey
from authorizer.telemetry.numbers import Numbers
async def main():
    talk = await channel.of_worker(socket.socket(fileno=int(sys.argv[1])))
    start = await talk.receive()
    talk.send(Opened({"ext_authz": "127.0.0.1:7"}))
    talk.send(Report(ready=True, numbers=Numbers(decisions={DecisionKey("a", True, "allowed", "grpc"): 5})))
    await talk.flush(1)
    while True:
        message = await talk.receive()
        %s
asyncio.run(main())
"""


@pytest.fixture
def make() -> Callable[[str], Seat]:
    with tempfile.TemporaryFile() as lock:
        yield lambda program: Seat(1, SETTINGS, [sys.executable, "-c", program], lock.fileno())


def greet(_seat: Seat) -> None:
    pass


async def lived(seat: Seat, ledger: Ledger) -> int:
    async with asyncio.timeout(10):
        return await seat.live(greet, ledger)


@pytest.mark.parametrize(
    ("program", "status"), [("import sys; sys.exit(3)", 3), ("import os; os.kill(os.getpid(), 9)", -9)]
)
async def test_the_status_of_one_that_ends_at_once_is_told(make, program, status):
    seat = make(program)
    assert await lived(seat, Ledger()) == status
    assert seat.lacking() == "its doors are not open"
    seat.failed(status)
    with pytest.raises(ListenError, match="status") as caught:
        await seat.first
    assert caught.value.exit_status == (3 if status == 3 else 69)


async def test_one_that_speaks_no_sense_is_killed(make, caplog):
    # It stays open: what was said before a hang-up may get lost.
    program = "import socket, sys, time; it = socket.socket(fileno=int(sys.argv[1])); it.sendall(b'\\0\\0\\0\\2no'); time.sleep(60)"
    assert await lived(make(program), Ledger()) == -9
    assert "worker 1 is not understood and killed" in caplog.text


async def test_one_that_hangs_up_but_does_not_end_is_killed(make, monkeypatch):
    monkeypatch.setattr(module, "HANG_UP_SECONDS", 0.2)
    program = "import os, sys, time; os.close(int(sys.argv[1])); time.sleep(60)"
    assert await lived(make(program), Ledger()) == -9


async def test_one_that_does_not_answer_is_killed(make, monkeypatch, caplog):
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.3)
    seat = make("import time; time.sleep(60)")
    living = asyncio.create_task(lived(seat, Ledger()))
    while not living.done():
        seat.ask()
        await asyncio.sleep(0.05)
    assert await living == -9
    assert "has not answered" in caplog.text


async def test_what_it_said_is_known_and_stays_when_it_is_gone(make):
    seat, ledger = make(WORKER % "return"), Ledger()
    living = asyncio.create_task(lived(seat, ledger))
    await seat.first
    assert seat.addresses == {"ext_authz": "127.0.0.1:7"}
    assert seat._settings.ext_authz.listen == "127.0.0.1:7"  # the next one has it too
    await until(lambda: sound(seat))
    seat.send(News("policy", 1, 1.0))
    assert await living == 0
    assert list(ledger.total().decisions.values()) == [5]
    assert seat.lacking()
    assert seat.ask() is None
    seat.send(News("policy", 1, 1.0))
    seat.stop(1.0)
    seat.kill()


async def sound(seat: Seat) -> bool:
    return not seat.lacking()


async def test_questions_that_wait_share_an_answer(make):
    seat = make(WORKER % "talk.send(Report(ready=False, numbers=Numbers()))")
    living = asyncio.create_task(lived(seat, Ledger()))
    await seat.first
    await asyncio.sleep(0.1)
    first, second = seat.ask(), seat.ask()
    assert first is second
    assert first is not None
    await first
    assert seat.lacking() == "no policy is in force"
    seat.kill()
    assert await living == -9


async def test_one_that_is_on_its_way_hears_that_it_is_to_stop(make):
    seat = make(WORKER % "return")
    seat.stop(0.0)
    assert await lived(seat, Ledger()) == 0


async def test_one_that_is_given_up_is_killed(make, monkeypatch):
    monkeypatch.setattr(module, "HANG_UP_SECONDS", 0.1)
    seat = make(WORKER % "pass")
    living = asyncio.create_task(lived(seat, Ledger()))
    await seat.first
    living.cancel()
    with pytest.raises(asyncio.CancelledError):
        await living
    assert seat._process is None


def test_numbers_of_the_supervisor_count_too():
    metrics, ledger = Metrics("1"), Ledger()
    metrics.observe(Request(), Decision(reason=reason("no_route")), 0.0)
    assert sum(ledger.total(numbers(metrics)).decisions.values()) == 1

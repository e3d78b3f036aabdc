"""``authorizer health`` against an admin door that is ready, waits, is gone, or speaks something else."""

import asyncio
import socket

import pytest

from authorizer import cli
from authorizer.doors import admin
from authorizer.doors.http1 import open_http


async def ask(capsys, lacking: str, *flags: str) -> tuple[int, str, str]:
    """Serve an admin door and ask it. Returns exit status, output and errors."""
    door = await open_http(
        "127.0.0.1:0", admin.handler(lambda: lacking, lambda _: (b"", "text/plain")), admin.malformed
    )
    try:
        status = await asyncio.to_thread(cli.main, ["health", *(flag.format(door.address) for flag in flags)])
    finally:
        await door.close(1.0)
    return (status, *capsys.readouterr())


@pytest.mark.parametrize(
    ("lacking", "flags", "expected"),
    [
        ("", ("{}",), (0, "ok\n", "")),
        ("no policies", ("{}",), (69, "", "not ready: no policies\n")),
        ("no policies", ("{}", "--live"), (0, "ok\n", "")),
        ("", ("--policies", ".", "--set", "admin.listen={}"), (0, "ok\n", "")),
    ],
)
async def test_the_answer_is_the_exit_status(capsys, lacking, flags, expected):
    assert await ask(capsys, lacking, *flags) == expected


async def test_a_door_on_all_addresses_is_asked_on_this_machine(capsys):
    door = await open_http("127.0.0.1:0", admin.handler(lambda: "", lambda _: (b"", "text/plain")), admin.malformed)
    try:
        assert await asyncio.to_thread(cli.main, ["health", door.address.replace("127.0.0.1", "0.0.0.0")]) == 0
    finally:
        await door.close(1.0)


@pytest.mark.parametrize(
    ("address", "told"),
    [("127.0.0.1:{}", "AZ713"), ("not-an-address", "AZ701"), ("unix:/run/admin.sock", "AZ701")],
)
def test_who_cannot_be_asked_is_told_by_a_code(capsys, address, told):
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        assert cli.main(["health", address.format(taken.getsockname()[1])]) == 69
    assert capsys.readouterr().err.startswith(f"error {told}")


def test_no_admin_door_is_told(capsys):
    assert cli.main(["health", "--policies", ".", "--set", "admin.listen="]) == 69
    assert "admin.listen is empty" in capsys.readouterr().err


def test_without_settings_the_default_address_is_asked(capsys):
    assert cli.main(["health"]) in {0, 69}  # whoever may run there
    assert "AZ106" not in capsys.readouterr().err


async def test_what_is_no_http_is_no_health(capsys):
    async def babble(_reader, writer):
        writer.write(b"\x00\xff nonsense\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await asyncio.to_thread(cli.main, ["health", f"127.0.0.1:{port}"]) == 69
    assert "AZ713" in capsys.readouterr().err

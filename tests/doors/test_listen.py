"""Addresses, and Unix sockets that are taken over only from the dead."""

import contextlib
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authorizer.doors import listen
from authorizer.errors import ListenError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9191", listen.TcpAddress("127.0.0.1", 9191)),
        ("localhost:0", listen.TcpAddress("localhost", 0)),
        ("[::1]:65535", listen.TcpAddress("::1", 65535)),
        ("unix:@authorizer/0", listen.AbstractAddress("authorizer/0")),
    ],
)
def test_addresses(text, address):
    assert listen.parse(text) == address


@pytest.mark.parametrize(
    "text",
    ["", ":", ":80", "host", "host:", "host:x", "host:65536", "host:-1", "::1:80", "[]:80", "host:٣", "host:1e3",
     "unix:", "unix:relative", "unix:/" + "x" * 107, "unix:/a\0b",
     "unix:/\udfff", "unix:@", "unix:@" + "x" * 108, "unix:@\0"],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_a_cure(text):
    with pytest.raises(ListenError, match="AZ701") as caught:
        listen.parse(text)
    assert caught.value.hint


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_refused(text):
    for candidate in (text, f"unix:/{text}", f"{text}:80"):
        with contextlib.suppress(ListenError):
            assert isinstance(listen.parse(candidate), listen.TcpAddress | listen.UnixAddress | listen.AbstractAddress)


def test_a_bound_address_can_be_read_again():
    with listen.bind("127.0.0.1:0") as bound:
        assert listen.parse(listen.name(bound)) == listen.TcpAddress(*bound.getsockname())


def test_an_abstract_name_is_bound_and_taken():
    address = f"unix:@authorizer-test-{os.getpid()}"
    with listen.bind(address) as bound:
        assert listen.name(bound) == address
        assert listen.socket_file(bound) is None
        with pytest.raises(ListenError, match="AZ702"):
            listen.bind(address)
    listen.bind(address).close()


def test_a_port_that_is_taken_is_refused():
    with listen.bind("127.0.0.1:0") as bound, pytest.raises(ListenError, match=r"AZ702.*in use"):
        listen.bind(listen.name(bound))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 64, "\udcff", "a..b"])
def test_a_host_that_is_no_address_is_refused(host):
    with pytest.raises(ListenError, match=r"AZ70[12]"):
        listen.bind(f"{host}:0")


def test_a_directory_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ListenError, match="AZ702"):
        listen.bind(f"unix:{tmp_path}/absent/door.sock")


def test_a_socket_is_for_owner_and_group_from_the_start(tmp_path):
    mask = os.umask(0)
    try:
        with listen.bind(f"unix:{tmp_path}/door.sock"):
            assert (tmp_path / "door.sock").stat().st_mode & 0o777 == 0o660
        assert os.umask(0) == 0
    finally:
        os.umask(mask)


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path):
    address = f"unix:{tmp_path}/door.sock"
    listen.bind(address).close()
    with listen.bind(address), pytest.raises(ListenError, match=r"AZ703.*in use"):
        listen.bind(address)
    assert (tmp_path / "door.sock").exists()


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_is_not_a_socket_is_never_removed(tmp_path, kind):
    path = tmp_path / "door.sock"
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    else:
        stale = tmp_path / "stale.sock"
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(stale))
        path.symlink_to(stale)
    with pytest.raises(ListenError, match="AZ703"):
        listen.bind(f"unix:{path}")
    assert path.exists()

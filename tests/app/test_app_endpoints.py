"""The addresses of workers, as gateways list them."""

import pytest

from authorizer import settings
from authorizer.app import endpoints
from authorizer.errors import ListenError


@pytest.mark.parametrize(
    ("address", "taken", "expected"),
    [
        ("127.0.0.1:9191", (), ["127.0.0.1:9191", "127.0.0.1:9192", "127.0.0.1:9193"]),
        ("127.0.0.1:9191", (9192, 9193), ["127.0.0.1:9191", "127.0.0.1:9194", "127.0.0.1:9195"]),
        ("[::1]:65533", (), ["[::1]:65533", "[::1]:65534", "[::1]:65535"]),
        ("127.0.0.1:0", (9192,), ["127.0.0.1:0"] * 3),
        ("unix:/run/a.sock", (), ["unix:/run/a-0.sock", "unix:/run/a-1.sock", "unix:/run/a-2.sock"]),
        ("unix:/run/a", (), ["unix:/run/a-0", "unix:/run/a-1", "unix:/run/a-2"]),
        ("unix:@a.sock", (), ["unix:@a-0.sock", "unix:@a-1.sock", "unix:@a-2.sock"]),
    ],
)
def test_each_worker_has_an_address_that_follows_from_the_first(address, taken, expected):
    assert endpoints.each(address, 3, frozenset(taken)) == expected


@pytest.mark.parametrize(("address", "code"), [("127.0.0.1:65534", "AZ710"), ("nowhere", "AZ701")])
def test_addresses_that_leave_no_room_are_refused(address, code):
    with pytest.raises(ListenError) as caught:
        endpoints.each(address, 3)
    assert caught.value.code == code


def test_the_default_addresses_work_with_any_number_of_workers():
    found = endpoints.of_ext_authz(settings.load("policies: p\nworkers: 4\n"))
    assert found == [f"127.0.0.1:{port}" for port in (9191, 9194, 9195, 9196)]


def test_no_door_has_no_addresses():
    assert endpoints.of_ext_authz(settings.load("policies: p\nworkers: 4\next_authz: {listen: ''}\n")) == []

"""Headers that may be sent, headers that are taken off, and the content type of gRPC."""

import pytest

from authorizer.doors.headers import UnsendableError, removals, sendable, speaks_grpc


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("application/grpc", True),
        ("application/grpc+proto", True),
        ("Application/GRPC", True),
        ("application/grpc-web+proto", True),
        ("application/json", False),
        ("", False),
    ],
)
def test_grpc_is_known_by_its_content_type(value, expected):
    assert speaks_grpc({"content-type": (value,)}) is expected


def test_a_request_without_content_type_is_not_grpc():
    assert not speaks_grpc({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "v"),
        (":path", "/"),
        ("host", "a"),
        ("Host", "a"),
        ("content-length", "1"),
        ("transfer-encoding", "chunked"),
        ("a b", "v"),
        ("a\r\nb", "v"),
        ("a\n", "v"),
        ("é", "v"),
        ("x" * 257, "v"),
        ("x", "a\rb"),
        ("x", "a\nb"),
        ("x", "a\x00b"),
        ("x", "a\x7f"),
        ("x", "\udcff"),
    ],
)
def test_unsendable_headers_are_refused(name, value):
    with pytest.raises(UnsendableError):
        sendable([("x-good", "good"), (name, value)])


def test_sendable_headers_keep_their_order_and_values():
    assert sendable([("X-User", "Zoë\t1"), ("x-user", ""), ("x-b", "b")]) == (
        ("x-user", "Zoë\t1"),
        ("x-user", ""),
        ("x-b", "b"),
    )


@pytest.mark.parametrize(
    ("upstream", "remove", "expected"),
    [
        ((), (), ()),
        (("x-user",), (), ("x_user",)),
        ((), ("x-user",), ("x-user", "x_user")),
        (("x-user",), ("X-User", "x_user"), ("x_user",)),
        (("user",), ("role",), ("role",)),
        (("x-user", "x_user"), (), ()),
    ],
)
def test_removals(upstream, remove, expected):
    assert removals(upstream, remove) == expected

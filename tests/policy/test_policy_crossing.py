"""Routes that cross are told, with the path where they do."""

import pytest

from authorizer.pdp.sources import compile_documents


def crossings(*routes: str) -> list[str]:
    listed = ", ".join(f'"{route}": public' for route in routes)
    text = f"{{kind: Application, id: a, http: {{hosts: [h], routes: {{{listed}}}}}}}"
    found = compile_documents({"a.yaml": text.encode()}).problems
    assert {problem.code for problem in found} <= {"L005"}
    return [problem.message for problem in found]


@pytest.mark.parametrize(
    ("routes", "path"),
    [
        (("GET /{x}/b", "GET /a/{y}"), "GET /a/b"),
        (("GET /a/{x=**}", "GET /{y}/b"), "GET /a/b"),
        (("GET /a/{x=**}", "GET /{y}/b/{z}/c"), "GET /a/b/{..}/c"),
        (("* /a/{x=**}", "GET /{y}/b/{z=**}"), "GET /a/b/{..=**}"),
        (("GET /a/{x}/c/{y}", "GET /{p}/b/{q}/d"), "GET /a/b/c/d"),
        (("GET /{x}/b", "GET /a/{y}", "GET /a/b"), ""),
        (("GET /{x}/b", "GET /a/{y}", "* /a/b"), ""),
        (("GET /{x}/b", "PUT /a/{y}"), ""),
        (("GET /{x}/", "GET /a/{y}"), ""),
        (("GET /a", "GET /a/{z}", "GET /a/{x=**}", "GET /{y=**}"), ""),
    ],
)
def test_crossings(routes, path):
    assert [message.partition(" on ")[0] for message in crossings(*routes)] == ([path] if path else [])
    assert len(crossings(*reversed(routes))) == bool(path)


def test_the_route_that_decides_is_told_first():
    assert crossings("GET /{x}/b", "GET /a/{y}") == ["GET /a/b on 'h' fits GET /{x}/b too"]


def test_what_is_told_is_bounded():
    routes = [f"GET /x{n}/{{a}}" for n in range(20)] + [f"GET /{{a}}/y{n}" for n in range(20)]
    assert len(crossings(*routes)) == 50

"""Which requests without a route pass where unmapped ones do: none that an API could take for a guarded one."""

import pytest

from authorizer.model import Request
from authorizer.pdp.snapshot import Options, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer

DOCUMENTS = b"""
kind: Application
id: api
http:
  unmapped: allow
  hosts: [api.example]
  routes:
    GET /admin/users: {roles: [admin]}
    GET /admin/users/{id}: {roles: [admin]}
    GET /files/{rest=**}: {roles: [admin]}
    PUT /Mixed/Case: {roles: [admin]}
"""
AUTHORIZER = Authorizer(build(compile_documents({"a.yaml": DOCUMENTS}).documents(), {"policy": "1"}, Options()))


def ask(method, target, **headers):
    request = Request(method=method, target=target, host="api.example", headers=headers)
    return AUTHORIZER.check(request).reason.code


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/other"), ("POST", "/admin/users"), ("GET", "/admin"), ("GET", "/admin/users/1/roles"), ("GET", "/"),
        ("PUT", "/mixed/cases"), ("GET", "/mixed/case"), ("DELETE", "/files/x"),
    ],
)  # fmt: skip
def test_what_is_nobodys_passes(method, target):
    assert ask(method, target) == "unmapped"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/Admin/users"), ("GET", "/ADMIN/USERS"), ("get", "/admin/users"), ("GET", "/admin/users/"),
        ("GET", "/admin/users."), ("GET", "/admin/users%20"), ("GET", "/admin./users"), ("HEAD", "/admin/users"),
        ("head", "/Admin/Users/7"), ("GET", "/Admin/users/7/"), ("GET", "/Files/a/b"), ("GET", "/files"), ("PUT", "/mixed/case"),
        ("Put", "/MIXED/CASE"), ("GET", "/admin/users.json"), ("GET", "/admin.html/Users"), ("GET", "/%EF%BD%81dmin/users"), ("GET", "/adm%C4%B1n/../admin/users"),
    ],
)  # fmt: skip
def test_what_a_lenient_api_could_take_for_a_guarded_one_does_not(method, target):
    assert ask(method, target) != "unmapped"


@pytest.mark.parametrize("name", ["x-original-url", "x-rewrite-url", "x_original_url"])
def test_what_names_another_path_in_a_header_does_not(name):
    """IIS, Symfony of old and Zend go by it."""
    assert ask("GET", "/other", **{name: ("/admin/users",)}) == "no_route"

"""A slip gets one error, which says what was meant: no second one that leads elsewhere."""

import pytest

from authorizer.pdp.sources import compile_documents

APPLICATION = "kind: Application\nid: shop\nhttp:\n  hosts: [h]\n  routes:\n    GET /a: {scopes: [s]}\n"
ISSUER = '---\nkind: Issuers\nissuers: {m: {issuer: "https://l", audiences: [a], algorithms: [ES256], jwks_uri: "https://l/k"}}\n'


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[s]", "orders.read", "6:22 AZ209: scopes must be a list (write [orders.read])"),
        ("scopes: [s]", 'roles: "admin, support"', "6:21 AZ209: roles must be a list (write [admin, support])"),
        ("scopes: [s]", "groups: Big Sales", "6:22 AZ209: groups must be a list (put it in [ ])"),
        ("[s]", "{any: s}", "6:28 AZ209: scopes must be a list (write [s])"),
        ("{scopes: [s]}", "{any: {scopes: [s]}}", "6:19 AZ209: any must be a list (put it in [ ])"),
        ("{scopes: [s]}", "[s]", "6:13 AZ209: route 'GET /a' must be a mapping ({scopes: [..]}, {roles: [..]})"),
        ("[h]", "h.example", "4:10 AZ209: hosts must be a list (write [h.example])"),
        ("[h]", "[h]\n  issuers: m", "5:12 AZ209: issuers must be a list (write [m])"),
        ("[a]", "shop", "9:47 AZ209: audiences must be a list (write [shop])"),
        ("[ES256]", "ES256", "9:64 AZ209: algorithms must be a list (write [ES256])"),
    ],
)
def test_one_value_where_a_list_belongs(old, new, told):
    text = (APPLICATION + ISSUER).replace(old, new, 1)
    problems = compile_documents({"a.yaml": text.encode()}).problems
    assert [str(one).replace("a.yaml:", "").replace(": error", "") for one in problems] == [told]


@pytest.mark.parametrize(
    ("assignee", "told"),
    [
        ("[x]", "AZ209: group must be text (write x, without [ ])"),
        ("[x, y]", "R005: policy 'p' must have exactly one assignee (has 2) (write one policy for each)"),
    ],
)
def test_a_list_where_one_name_belongs(assignee, told):
    policy = f"---\nkind: Policies\npolicies:\n  - {{id: p, right: shop/GET /a, to: {{group: {assignee}}}}}\n"
    problems = compile_documents({"a.yaml": (APPLICATION + policy).encode()}).problems
    assert [str(one).partition("error ")[2] for one in problems] == [told]

"""Claims that are missing, mistyped, out of time or nearly right."""

from collections.abc import Iterator

from tests.forge.material import ISSUER, Attack, Forge


def registered(f: Forge) -> Iterator[Attack]:
    now, end = f.good["iat"], f.good["exp"]
    claims_fault = "token_claims"
    rows: list[tuple[str, object, str]] = [
        (f"{name}={value!r}"[:60], f.with_claims(**{name: value}), claims_fault)
        for name in ("exp", "nbf", "iat", "auth_time")
        for value in (str(end), "", "9999999999", "soon", True, False, [end], {"v": end}, -1, -1e9)
    ]
    rows += [(f"{name}=null", f.with_claims(**{name: None}), claims_fault) for name in ("exp", "nbf", "iat")]
    rows += [
        ("exp missing", f.with_claims("exp"), claims_fault),
        ("exp=0", f.with_claims(exp=0), "token_expired"),
        ("expired", f.with_claims(exp=now - 3600), "token_expired"),
        ("exp in milliseconds", f.with_claims(exp=end * 1000), "token_lifetime"),
        ("exp=10^30", f.with_claims(exp=10**30), "token_lifetime"),
        ("exp=1e300", f.with_claims(exp=1e300), "token_lifetime"),
        ("exp=1e300, no iat", f.with_claims("iat", exp=1e300), "token_lifetime"),
        ("a year", f.with_claims(exp=end + 31_000_000), "token_lifetime"),
        ("nbf later", f.with_claims(nbf=now + 3600), "token_not_yet"),
        ("nbf=1e300", f.with_claims(nbf=1e300), "token_not_yet"),
        ("iat later", f.with_claims(iat=now + 300), "token_not_yet"),
        ("iat=10^30", f.with_claims(iat=10**30), "token_not_yet"),
        ("auth_time later", f.with_claims(auth_time=now + 3600), claims_fault),
    ]
    issuer_values = [
        None,
        "",
        1,
        True,
        [ISSUER],
        [ISSUER, "x"],
        ["x", ISSUER],
        {ISSUER: 1},
        ISSUER + "/",
        ISSUER + " ",
        " " + ISSUER,
        ISSUER.upper(),
        ISSUER.replace("https", "http"),
        ISSUER + ":443",
        ISSUER[:-1],
        ISSUER + ".evil.example",
        ISSUER + "\x00",
        ISSUER + "?",
        ISSUER + "#",
        "https://evil.example/" + ISSUER,
        ISSUER.replace("e", "\u0435"),
        ISSUER + "/../",
        "main",
    ]
    rows += [(f"iss={value!r}"[:60], f.with_claims(iss=value), "token_issuer") for value in issuer_values]
    rows.append(("iss missing", f.with_claims("iss"), "token_issuer"))
    near = [
        "Orders",
        "ORDERS",
        "order",
        "orders/",
        "orders ",
        " orders",
        "orders2",
        "orders,x",
        "orders x",
        "*",
        "ord*",
        "https://orders",
        ["x"],
        ["Orders", "orders/"],
        ["orders,x"],
    ]
    rows += [(f"aud={value!r}", f.with_claims(aud=value), "token_audience") for value in near]
    rows.append(("aud=[]", f.with_claims(aud=[]), "token_audience"))
    wrong = [
        "",
        None,
        1,
        True,
        {"orders": 1},
        [["orders"]],
        ["orders", 1],
        ["orders", None],
        [{"a": "orders"}],
        ["orders", ""],
    ]
    rows += [
        (f"aud={value!r}", f.with_claims(aud=value), "token_audience" if value == "" else claims_fault)
        for value in wrong
    ]
    rows.append(("aud missing", f.with_claims("aud"), claims_fault))
    for name, body, code in rows:
        yield Attack("claims", name, f.token(body=body), code)


def subjects(f: Forge) -> Iterator[Attack]:
    texts = [
        None,
        "",
        1,
        True,
        ["ann"],
        {"a": 1},
        "ann\n",
        "ann\r\nx-admin: 1",
        "a\x00",
        "a\x1fb",
        "a\x7f",
        "a\u2028",
        "a\x85",
        "a" * 1025,
    ]
    yield Attack("claims", "sub missing", f.token(body=f.with_claims("sub")), "token_claims")
    for value in (*texts, "partner/bob"):
        yield Attack("claims", f"sub={value!r}"[:60], f.token(body=f.with_claims(sub=value)), "token_claims")
    for value in (
        None,
        "sales",
        "",
        1,
        {"sales": 1},
        [1],
        [None],
        [""],
        [["sales"]],
        ["a\x1fb"],
        ["a\n"],
        ["partner/sales"],
    ):
        yield Attack("claims", f"groups={value!r}", f.token(body=f.with_claims(groups=value)), "token_claims")
    changes: dict[str, dict[str, object]] = {
        "client_id is a number": {"client_id": 1},
        "client_id is a list": {"client_id": ["web"]},
        "azp is a list": {"azp": ["web"]},
        "scope has a newline": {"scope": "a\nb"},
        "scope is a number": {"scope": 1},
        "scope is null": {"scope": None},
        "scp has a number": {"scp": [1]},
        "acr is a number": {"acr": 1},
        "acr is null": {"acr": None},
        "amr is a text": {"amr": "otp"},
        "amr has a number": {"amr": [1]},
        "tenant is an object": {"tenant": {}},
        "tenant is null": {"tenant": None},
        "tenant has an object": {"tenant": [{}]},
        "nested field is null": {"limits": {"credit": None}},
        "risk is a list of lists": {"risk_score": [[1]]},
    }
    for name, change in changes.items():
        yield Attack("claims", name, f.token(body=f.with_claims(**change)), "token_claims")
    for name, value in (
        ("jkt", {"jkt": "x"}),
        ("certificate", {"x5t#S256": "x"}),
        ("null", None),
        ("empty", {}),
        ("text", "x"),
    ):
        yield Attack("claims", f"cnf {name}", f.token(body=f.with_claims(cnf=value)), "token_unbound")

"""The same token spelled otherwise: base64url, parts, character sets, JSON."""

import json
from collections.abc import Iterator
from typing import Any

from tests.forge.material import Attack, Forge, b64, compact


def encodings(f: Forge) -> Iterator[Attack]:
    def respelled(part: str) -> str:
        # Another last character with the same leading bits: the decoder drops the rest.
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        step = {2: 16, 3: 4}[len(part) % 4]
        return part[:-1] + alphabet[(alphabet.index(part[-1]) // step) * step + 1]

    def header(size: int) -> dict[str, Any]:
        """A header whose base64url has ``size`` characters modulo 4."""
        fillers = ({"alg": "RS256", "kid": "rs", "x": "ÿ>?~"[:0] + "a" * count} for count in range(4))
        return next(h for h in fillers if len(b64(compact(h))) % 4 == size)

    body = next(b for n in range(3) if len(b64(compact(b := f.with_claims(x="a" * n)))) % 4 == 2)
    for size in (2, 3):
        yield Attack(
            "encoding",
            f"header, trailing bits, {size}",
            f.token(header(size), parts=lambda h, p: (respelled(h), p)),
            "token_malformed",
        )
        yield Attack(
            "encoding",
            f"header, padding, {size}",
            f.token(header(size), parts=lambda h, p: (h + "=" * (-len(h) % 4), p)),
            "token_malformed",
        )
    token = f.token(body=body, parts=lambda h, p: (h, respelled(p)))
    yield Attack("encoding", "claims, trailing bits", token, "token_malformed")
    token = f.token(body=body, parts=lambda h, p: (h, p + "=="))
    yield Attack("encoding", "claims, padding", token, "token_malformed")
    plain = f.token()
    yield Attack(
        "encoding", "signature, trailing bits", plain[:-1] + respelled(plain.rsplit(".", 1)[1])[-1], "token_malformed"
    )
    yield Attack("encoding", "signature, padding", plain + "==", "token_malformed")
    wide = f.token(
        {"alg": "RS256", "kid": "rs", "x": "ÿ>?~ÿ?"},
        {**f.good, "x": "ÿ>?~ÿ?>>>???"},
        parts=lambda h, p: (h.replace("-", "+").replace("_", "/"), p.replace("-", "+").replace("_", "/")),
    )
    yield Attack("encoding", "standard alphabet", wide, "token_malformed")
    for name, space in (
        ("space", " "),
        ("newline", "\n"),
        ("tab", "\t"),
        ("CRLF", "\r\n"),
        ("NUL", "\x00"),
        ("no-break space", "\xa0"),
    ):
        yield Attack("encoding", f"{name} first", space + plain, "token_malformed")
        yield Attack("encoding", f"{name} last", plain + space, "token_malformed")
        token = f.token(parts=lambda h, p, space=space: (h[:8] + space + h[8:], p))
        yield Attack("encoding", f"{name} in the header", token, "token_malformed")
        token = f.token(parts=lambda h, p, space=space: (h, p[:8] + space + p[8:]))
        yield Attack("encoding", f"{name} in the claims", token, "token_malformed")
    head, claims_part, tail = plain.split(".")
    shapes = {
        "nothing": "",
        "one part": head,
        "dots": "..",
        "dot first": f".{plain}",
        "dot last": f"{plain}.",
        "two dots": f"{head}..{claims_part}.{tail}",
        "four parts": f"{plain}.{tail}",
        "five parts": f"{head}.{claims_part}.{tail}.{tail}.{tail}",
        "no header": f".{claims_part}.{tail}",
        "no claims": f"{head}..{tail}",
        "escaped dots": plain.replace(".", "%2E"),
        "wide dots": plain.replace(".", "\uff0e"),
        "JSON serialisation": compact({"protected": head, "payload": claims_part, "signature": tail}).decode(),
        "quoted": f'"{plain}"',
        "comma": f"{plain},{plain}",
        "not base64": "a.b.c",
        "hex": f"{compact({'alg': 'RS256'}).hex()}!.{claims_part}.{tail}",
    }
    for name, token in shapes.items():
        yield Attack("encoding", name, token, "token_malformed")
    text = json.dumps({"alg": "RS256", "kid": "rs"})
    for name in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7"):
        encoded = text.encode(name) if name != "utf-7" else text.replace('"', "+ACI-").encode()
        yield Attack("encoding", f"header in {name}", f.token(encoded), "token_malformed")
    yield Attack("encoding", "header not UTF-8", f.token(b'{"alg":"RS256","kid":"rs","x":"\xff"}'), "token_malformed")
    yield Attack("encoding", "claims in utf-16", f.token(body=json.dumps(f.good).encode("utf-16")), "token_malformed")
    yield Attack("encoding", "claims with a BOM", f.token(body=b"\xef\xbb\xbf" + compact(f.good)), "token_malformed")
    yield Attack(
        "encoding", "claims not UTF-8", f.token(body=compact(f.good)[:-1] + b',"x":"\xc0\xaf"}'), "token_malformed"
    )


def header_json(f: Forge) -> Iterator[Attack]:
    rows = {
        "alg twice, none last": b'{"alg":"RS256","alg":"none","kid":"rs"}',
        "alg twice, none first": b'{"alg":"none","alg":"RS256","kid":"rs"}',
        "alg twice, equal": b'{"alg":"RS256","alg":"RS256","kid":"rs"}',
        "alg twice, one escaped": b'{"alg":"RS256","\\u0061lg":"HS256","kid":"rs"}',
        "kid twice": b'{"alg":"RS256","kid":"x","kid":"rs"}',
        "typ twice": b'{"alg":"RS256","kid":"rs","typ":"dpop+jwt","typ":"JWT"}',
        "nested member twice": b'{"alg":"RS256","kid":"rs","x":{"a":1,"a":2}}',
        "NaN": b'{"alg":"RS256","kid":"rs","x":NaN}',
        "Infinity": b'{"alg":"RS256","kid":"rs","x":Infinity}',
        "5000 digits": b'{"alg":"RS256","kid":"rs","x":' + b"9" * 2500 + b"}",
        "list": b'[{"alg":"RS256","kid":"rs"}]',
        "text": b'"RS256"',
        "null": b"null",
        "number": b"1",
        "empty object text": b" ",
        "trailing comma": b'{"alg":"RS256","kid":"rs",}',
        "trailing text": b'{"alg":"RS256","kid":"rs"}x',
        "two": b'{"alg":"RS256","kid":"rs"}{}',
        "single quotes": b"{'alg':'RS256','kid':'rs'}",
        "comment": b'{"alg":"RS256",/**/"kid":"rs"}',
        "NUL after": b'{"alg":"RS256","kid":"rs"}\x00',
        "deep": b'{"alg":"RS256","kid":"rs","x":' + b"[" * 1000 + b"]" * 1000 + b"}",
        "deep, not closed": b'{"alg":' + b"[" * 2900,
        "half a surrogate pair": b'{"alg":"RS256","kid":"rs","x":"\\ud800"}',
        "raw newline": b'{"alg":"RS256","kid":"rs","x":"\n"}',
    }
    for name, text in rows.items():
        yield Attack("json", f"header: {name}", f.token(text), "token_malformed")
    many = {"alg": "RS256", "kid": "rs", "x": [{}] * 65}
    yield Attack("json", "header of many members", f.token(many), "token_malformed")
    big = {"alg": "RS256", "kid": "rs", "x": "a" * 70_000}
    yield Attack("json", "header of 70 kB", f.token(big), "token_too_large")
    yield Attack("json", "header of 5 kB", f.token(big | {"x": "a" * 5_000}), "token_too_large")
    yield Attack("json", "claims of 1 MB", f.token(body=f.with_claims(x="a" * 1_000_000)), "token_too_large")


def claims_json(f: Forge) -> Iterator[Attack]:
    text = compact(f.good)[:-1]
    end = f.good["exp"]
    rows = {
        "sub twice": text + b',"sub":"admin"}',
        "sub twice, equal": text + b',"sub":"ann"}',
        "exp twice": text + b',"exp":9999999999}',
        "aud twice": text + b',"aud":"x"}',
        "iss twice": b'{"iss":"x",' + text[1:] + b"}",
        "groups twice": text + b',"groups":["admin"]}',
        "sub twice, one escaped": text + b',"s\\u0075b":"admin"}',
        "nested member twice": text + b',"x":[{"a":1,"a":1}]}',
        "NaN": text + b',"x":NaN}',
        "Infinity": text + b',"x":Infinity}',
        "-Infinity": text + b',"x":-Infinity}',
        "nan": text + b',"x":nan}',
        "5000 digits": text + b',"x":' + b"9" * 5000 + b"}",
        "-5000 digits": text + b',"x":-' + b"9" * 5000 + b"}",
        "5000 decimals": text + b',"x":0.' + b"9" * 5000 + b"}",
        "1e999": text + b',"x":1e999}',
        "1e99999999": text + b',"x":1e99999999}',
        "depth 100000": text + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "depth 5000": text + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
        "depth 1500, objects": text + b',"x":' + b'{"a":' * 1500 + b"1" + b"}" * 1500 + b"}",
        "depth 17": text + b',"x":' + b"[" * 17 + b"]" * 17 + b"}",
        "deep, not closed": b"[" * 9000,
        "leading zero": text + b',"x":012}',
        "plus": text + b',"x":+1}',
        "hex": text + b',"x":0x1}',
        "half a surrogate pair": text + b',"x":"\\udc00"}',
        "list": b"[" + text + b"}]",
        "text": b'"ann"',
        "null": b"null",
        "true": b"true",
        "number": str(end).encode(),
        "empty text": b" ",
        "trailing text": text + b"}x",
        "form": b"sub=ann&exp=9999999999",
        "not closed": text,
    }
    for name, body in rows.items():
        large = len(body) > 12_000
        yield Attack("json", f"claims: {name}", f.token(body=body), "token_too_large" if large else "token_malformed")
    yield Attack("json", "claims: iss twice, another's last", f.token(body=text + b',"iss":"x"}'), "token_issuer")

"""What the API gets instead of what the caller showed, through every gateway: exchanged, passed on, stripped."""

import time
from pathlib import Path

import pytest

from authorizer.demo.processes import Children
from tests.e2e.world import Api, marked, open_doors, send, start
from tests.upstream_idp.exchanging import HEADERS, world

GATEWAYS = marked("envoy", "envoy-printed", "nginx", "caddy", "haproxy", "traefik")


@pytest.mark.parametrize("name", GATEWAYS)
async def test_what_was_shown_reaches_the_api_as_the_authorizer_says(
    name: str, children: Children, api: Api, tmp_path: Path
) -> None:
    shown = ("authorization", "dpop")
    headers = HEADERS | dict.fromkeys(shown, "credential") | {"x-auth-original": "original_token"}
    async with world(headers=headers, now=time.time()) as it, open_doors(it.authorizer) as doors:
        url = await start(name, children, tmp_path, doors.grpc, doors.http, api.address, shown)
        theirs, ours = it.token("partner"), it.token("main", sub="b-17", scope="read")
        it.answer(theirs, ours)
        for host, token, got in (
            ("api.example", theirs, f"Bearer {ours}"),
            ("api.example", theirs, f"Bearer {ours}"),
            ("api.example", ours, f"Bearer {ours}"),
            ("bare.example", theirs, f"Bearer {ours}"),
            ("bare.example", ours, ""),
        ):
            lines = [("Authorization", f"Bearer {token}"), ("DPoP", "a-proof"), ("X-Auth-Subject", "forged")]
            reply = await send(url, "GET", "/read", lines, host=host)
            _, _, seen = api.seen.pop()
            assert reply.status == 200
            assert seen.get("authorization", "") == got
            assert seen["x-auth-subject"] == "b-17"
            assert seen.get("dpop", "") == ("a-proof" if host == "api.example" else "")
            assert not any(token.split(".")[2] in str(pair) for pair in reply.headers.items())
        refused = await send(url, "GET", "/read", [("Authorization", f"Bearer {it.token('partner', jti='x')}")])
        assert refused.status >= 400
        assert api.seen == []
        assert len(it.provider.asked) == 1

"""The HTTP forward-auth door: ``/authz/PROFILE`` answers 200 or a denial in the terms of one gateway.

Whatever goes wrong is a denial that the gateway obeys. Only trusted gateways are believed; see
``forward_auth_profiles`` for who says what in which header, ``forward_auth_peers`` for who is trusted.
"""

import asyncio
from collections.abc import Callable
from functools import lru_cache

from aiohttp import web

from authorizer.doors import faults
from authorizer.doors.forward_auth_peers import SECRET_HEADER, Trust
from authorizer.doors.forward_auth_profiles import PREFIX, PROFILES, Original, Profile, absent, collect, find, read
from authorizer.doors.headers import removals, sendable, speaks_grpc
from authorizer.doors.http1 import Answer
from authorizer.doors.problem import denial, grpc_denial
from authorizer.model import BodyState, Decision, Headers, Request
from authorizer.reasons import REASONS
from authorizer.service import Authorizer

REMOVE_HEADER = "x-envoy-auth-headers-to-remove"
MAX_BODY = 256 * 1024
"""Largest body that is handed to a decision, in bytes; of a larger one only the beginning is, marked as a part."""

BODY_SECONDS = 0.15
"""How long a body may take to come. Gateways send it at once, and give up on the whole answer after 0.2 s or more."""

_WHOLE = ("false",)

# The call does not tell whether the original request has a body that the gateway kept for itself, so a decision that
# reads the body must not take it for a request without one.
_NO_BODY: tuple[bytes, BodyState] = (b"", "unknown")

_NO_GATEWAY = f"no gateway has this address; there are {', '.join(PREFIX + name for name in PROFILES)}"

# Where no profile is known: 403 is a denial to each of them.
_UNKNOWN = Profile(statuses=frozenset({403}))


class ForwardAuth:
    """Answers forward-auth calls.

    ``track`` is told of each call that enters (+1) and leaves (-1). ``hops`` is the number of trusted proxies that add
    to the chain of client addresses. Setting ``draining`` makes each answer the last on its connection.
    """

    def __init__(
        self,
        authorizer: Authorizer,
        trusted: Trust,
        *,
        track: Callable[[int], None] = lambda _: None,
        hops: int = 1,
    ) -> None:
        self.draining = False
        self._authorizer = authorizer
        self._trusted = trusted
        self._track = track
        self._hops = hops

    async def handle(self, call: web.BaseRequest) -> Answer:
        """Answer one call. INVARIANT: it never raises, and only ``_allow`` answers 200."""
        profile = _UNKNOWN
        self._track(1)
        try:
            found = find(call.raw_path)
            if found is not None:
                profile = found[0]
            return await self._answer(call, found)
        except Exception as error:  # noqa: BLE001 - a fault of ours leaves as a denial, whatever it was
            faults.report(error)
            return self._failed(profile)
        finally:
            self._track(-1)

    def malformed(self, status: int) -> Answer:
        """Answer bytes that are not HTTP (``status`` below 500) or that aiohttp failed on, and end the connection."""
        code = "bad_check" if status < 500 else "internal_error"
        return self._refuse(_UNKNOWN, code, Request(transport="http"), close=True)

    async def _answer(self, call: web.BaseRequest, found: tuple[Profile, str] | None) -> Answer:
        headers = collect(call.raw_headers)
        if not self._trusted(call, headers):
            profile = found[0] if found else _UNKNOWN
            return self._refuse(profile, "peer_untrusted", _bare(call, headers), close=True)
        if found is None or call.method == "CONNECT":
            return self._refuse(_UNKNOWN, "forwarded_missing", _bare(call, headers), _NO_GATEWAY, close=True)
        profile, rest = found
        # INVARIANT: a body that is not read to its end ends the connection. If it were reused, the length that a
        # client declares would eat into the next call, and answers would go to the wrong requests.
        close = self.draining or (call.body_exists and not profile.sends_body) or "upgrade" in headers
        if "transfer-encoding" in headers and call.version < (1, 1):
            return self._refuse(
                profile, "bad_check", _bare(call, headers), close=True
            )  # RFC 9112 section 6.1: faulty framing
        headers.pop(SECRET_HEADER, None)
        original = read(profile, call.method, rest, headers, self._hops)
        if isinstance(original, str):
            lacking = ", ".join(absent(profile, headers))
            detail = f"the gateway did not send: {lacking}" if lacking else ""
            return self._refuse(profile, original, _bare(call, headers), detail, close=close or call.body_exists)
        body, state = await _body(call) if profile.sends_body and call.body_exists else _NO_BODY
        if headers.get(profile.partial, _WHOLE) != _WHOLE:
            state = "partial"  # anything but a plain "it is whole" counts as a part
        decision = self._authorizer.check(_request(original, body, state))
        if not isinstance(decision, Decision):
            decision = await decision
        close = close or not call.content.at_eof()
        if decision.allowed is True:
            return _allow(profile, decision, close=close)
        return _deny(profile, decision, grpc=speaks_grpc(original.headers), close=close)

    def _failed(self, profile: Profile) -> Answer:
        """Deny because of a fault: a second event, where the first one may say "allowed"."""
        try:
            return self._refuse(profile, "internal_error", Request(transport="http"), close=True)
        except Exception as error:  # noqa: BLE001 - not even the refusal could be counted or encoded
            faults.report(error)
            return _deny(profile, _INTERNAL, close=True)

    def _refuse(self, profile: Profile, code: str, request: Request, detail: str = "", *, close: bool) -> Answer:
        return _deny(profile, self._authorizer.refuse(code, request, detail), close=close)


def _bare(call: web.BaseRequest, headers: Headers) -> Request:
    """Return what a call says of itself, for the log of a refusal."""
    return Request(
        method=call.method,
        target=call.raw_path,
        host=headers.get("host", ("",))[0],
        peer=call.remote or "",
        transport="http",
    )


def _request(original: Original, body: bytes, state: BodyState) -> Request:
    return Request(
        method=original.method,
        target=original.target,
        host=original.host,
        scheme=original.scheme,
        headers=original.headers,
        body=body,
        body_state=state,
        peer=original.client,
        transport="http",
    )


async def _body(call: web.BaseRequest) -> tuple[bytes, BodyState]:
    """Read the body, at most ``MAX_BODY`` bytes and ``BODY_SECONDS``. What does not come in time is a partial body."""
    read_so_far = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while len(read_so_far) <= MAX_BODY:
                chunk = await call.content.readany()
                if not chunk:
                    return bytes(read_so_far), "complete" if read_so_far else "absent"
                read_so_far += chunk
    except (TimeoutError, web.RequestPayloadError):
        pass
    return bytes(read_so_far[:MAX_BODY]), "partial"


def _allow(profile: Profile, decision: Decision, *, close: bool) -> Answer:
    """Answer 200 with the headers for the API and nothing else: a gateway may copy each header of it upstream."""
    upstream = sendable(decision.upstream)
    if profile.unset != "gateway":
        unset = removals(tuple(name for name, _ in upstream), decision.remove)
        if profile.unset == "listed" and unset:
            upstream += _listed(unset)
        elif profile.unset == "blank":
            upstream += sendable((name, "") for name in unset if "_" not in name)
    return Answer(200, upstream, close=close)


@lru_cache(maxsize=1024)
def _listed(unset: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return sendable(((REMOVE_HEADER, ", ".join(unset)),))


def _deny(profile: Profile, decision: Decision, *, grpc: bool = False, close: bool = False) -> Answer:
    status = decision.reason.status
    shown = grpc_denial(decision) if grpc else denial(decision, status if status in profile.statuses else 403)
    return Answer(shown.status, shown.headers, shown.body, close=close)


_INTERNAL = Decision(reason=REASONS["internal_error"])

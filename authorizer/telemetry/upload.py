"""Lines to a server by HTTP: decision logs as OPA's management API takes them, logs and traces in OTLP's JSON.

Runs in a thread of its own, on blocking sockets: neither its encryption nor its waiting is the event loop's.
Sources: OPA, "Decision Log Service API"; OTLP 1.x, "OTLP/HTTP" (retries, partial success, compression).
"""

import gzip
import http.client
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from weakref import finalize

import orjson
from msgspec import Struct

from authorizer import __version__
from authorizer.telemetry.courier import Outcome, Sink

MOST_ANSWER = 65_536
LONGEST_WAIT = 300.0
_REFUSALS = frozenset({400, 405, 406, 411, 415, 422, 431})
"""What will be answered again, however often it is asked."""

_TOO_LARGE = 413


class Server(Struct, frozen=True, kw_only=True):
    """``url`` names the whole resource; ``timeout`` is in seconds, for each step of a call."""

    url: str
    token_file: str = ""
    ca_file: str = ""
    timeout: float = 10.0


class Form(Struct, frozen=True):
    """How lines become a body, and how many of them an answer of success has refused all the same."""

    body: Callable[[Sequence[bytes]], bytes]
    refused: Callable[[bytes], int]


def json_array(lines: Sequence[bytes]) -> bytes:
    """Return lines of JSON as one array."""
    return b"[" + b",".join(lines) + b"]"


OPA = Form(json_array, lambda _answer: 0)


def to_server(server: Server, form: Form) -> Sink:
    """Return a sink that posts to ``server``, compressed, over one connection as long as it lasts.

    No redirect is followed and no proxy asked. Raises OSError (ssl.SSLError too) when ``ca_file`` cannot be used.
    """
    line = _Line(server)

    def sink(lines: Sequence[bytes]) -> Outcome:
        try:
            body = gzip.compress(form.body(lines), 1, mtime=0)
            try:
                status, told, wait = line.post(body)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                status, told, wait = line.post(body)  # the server had closed a connection that was kept
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Not its text: it may repeat what was sent, or what the server said.
            return Outcome(failure=type(error).__name__)
        if 200 <= status < 300:
            refused = min(len(lines), form.refused(told))
            return Outcome(len(lines) - refused, {"refused": refused} if refused else {})
        if status == _TOO_LARGE:
            return Outcome(dropped={"too_large": 1}) if len(lines) == 1 else sink(lines[: len(lines) // 2])
        if status in _REFUSALS:
            return Outcome(dropped={"refused": len(lines)}, failure=f"status {status}")
        return Outcome(failure=f"status {status}", wait=wait)

    finalize(sink, line.close)
    return sink


class _Line:
    """A connection to a server, made when it is needed and kept while the server keeps it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parts = urlsplit(server.url)
        secure = self._parts.scheme == "https"
        self._context = ssl.create_default_context(cafile=server.ca_file or None) if secure else None
        self._held: http.client.HTTPConnection | None = None

    def post(self, body: bytes) -> tuple[int, bytes, float]:
        """Return status, body and Retry-After of the answer. Raises OSError, HTTPException, ValueError."""
        held, self._held = self._held or self._connect(), None
        keep = False
        try:
            held.request("POST", self._parts.path or "/", body, _headers(self._server))
            answer = held.getresponse()
            told = answer.read(MOST_ANSWER)
            keep = not answer.will_close and answer.isclosed()
            return answer.status, told, _wait(answer.headers.get("retry-after", ""))
        finally:
            if keep:
                self._held = held
            else:
                held.close()

    def close(self) -> None:
        """Hang up."""
        if self._held is not None:
            self._held.close()

    def _connect(self) -> http.client.HTTPConnection:
        host, port, timeout = self._parts.hostname or "", self._parts.port, self._server.timeout
        if self._context is None:
            return http.client.HTTPConnection(host, port, timeout=timeout)
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._context)


def partial_success(field: str) -> Callable[[bytes], int]:
    """Return the reader of an OTLP answer: how many it says under ``field`` that it did not take."""

    def refused(answer: bytes) -> int:
        try:
            told = orjson.loads(answer).get("partialSuccess", {}).get(field, 0)
            return max(0, int(told))
        except (ValueError, AttributeError, TypeError):
            return 0

    return refused


def _headers(server: Server) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
        "User-Agent": f"authorizer/{__version__}",
    }
    if server.token_file:
        headers["Authorization"] = "Bearer " + Path(server.token_file).read_text(encoding="ascii").strip()
    return headers


def _wait(text: str) -> float:
    """Read Retry-After where it is in seconds (RFC 9110, 10.2.3)."""
    return min(LONGEST_WAIT, float(text)) if text.isascii() and text.isdecimal() and len(text) < 6 else 0.0

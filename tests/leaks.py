"""Watches what a whole run of tests writes: no log, decision, span, metric, error or denial may tell a secret.

Secrets are those that the run used: each token, proof, API key and private key that was made, each secret that was read
from a file, and what tests declare. Whatever looks like a credential is one too, whoever made it.
"""

import functools
import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from authorizer import errors, files
from authorizer.doors import problem
from authorizer.jose import sign
from authorizer.pdp import api_keys
from authorizer.telemetry import decision_event, exposition, traces
from authorizer.telemetry.logs import JsonFormatter

SHORTEST = 16
_WORD = re.compile(rb"[A-Za-z0-9_-]{16,}")
_SHAPE = re.compile(
    rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{20,}|azk_[a-z2-7]{16}_[A-Za-z0-9_-]{20,}"
    rb"|PRIVATE KEY-----[\\n\s]*[A-Za-z0-9+/]{20,}"
)
_WRITTEN = frozenset({".log", ".decisions"})

_words: set[bytes] = set()
_texts: set[bytes] = set()
found: list[str] = []
"""What was told that must not be told, since it was last asked for: where, never what."""


def secret(text: str) -> str:
    """Declare a text that must not come out anywhere; return it."""
    raw = text.encode("utf-8", "surrogateescape")
    if len(raw) >= SHORTEST:
        (_words if _WORD.fullmatch(raw) else _texts).add(raw)
    return text


def look(where: str, told: bytes) -> None:
    """Look for secrets in what was told."""
    if _SHAPE.search(told) or not _words.isdisjoint(_WORD.findall(told)) or any(text in told for text in _texts):
        found.append(where)


def look_at_files(directory: Path) -> None:
    """Look for secrets in what processes wrote."""
    for path in directory.rglob("*"):
        if path.suffix in _WRITTEN and path.is_file():
            look(path.name, path.read_bytes())


class _Records(logging.Handler):
    """Looks at records as the process would write them."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("authorizer"):
            look(f"log {record.name}", self.format(record).encode("utf-8", "backslashreplace"))


def _signature(token: str) -> None:
    secret(token.rpartition(".")[2])


def _key(pem: bytes) -> None:
    secret(pem.decode().splitlines()[1])


def _api_key(made: tuple[str, str, str]) -> None:
    secret(made[0].split("_", 2)[2])


def _read(content: bytes) -> None:
    if not content.startswith(b"-----"):
        secret(content.decode("utf-8", "surrogateescape"))


def _after(module: Any, name: str, told: Callable[[Any], None]) -> None:
    """Let ``told`` see each result of a function; whoever imports it from now on gets that function."""
    original = getattr(module, name)

    @functools.wraps(original)
    def watched(*args: Any, **named: Any) -> Any:
        result = original(*args, **named)
        told(result)
        return result

    setattr(module, name, watched)


def _made(module: Any, name: str, kind: str, first: Callable[[Any], Iterable[bytes]]) -> None:
    """Look at the results of the functions that a function makes."""
    original = getattr(module, name)

    @functools.wraps(original)
    def making(*args: Any, **named: Any) -> Any:
        inner = original(*args, **named)

        @functools.wraps(inner)
        def watched(*more: Any) -> Any:
            result = inner(*more)
            for told in first(result):
                look(kind, told)
            return result

        return watched

    setattr(module, name, making)


def watch() -> None:
    """Watch this process from now on. To be called before the parts that are watched are imported by others."""
    for name in ("sign", "sign_with"):
        _after(sign, name, _signature)
    _after(sign, "generate", _key)
    _after(api_keys, "make", _api_key)
    _after(files, "read_secret", _read)
    for name in ("denial", "grpc_denial"):
        _after(problem, name, lambda shown: look("denial", f"{shown.headers}".encode() + shown.body))
    _after(traces, "span", lambda line: look("span", line or b""))
    _made(decision_event, "maker", "decision", lambda line: (line or b"",))
    _made(exposition, "renderer", "metrics", lambda page: (page[0],))

    original = errors.AuthorizerError.__init__

    def told(self: errors.AuthorizerError, *args: Any, **named: Any) -> None:
        original(self, *args, **named)
        look("error", str(self).encode("utf-8", "backslashreplace"))

    errors.AuthorizerError.__init__ = told
    handler = _Records(level=logging.DEBUG)
    handler.setFormatter(JsonFormatter(tracebacks=True))
    logging.getLogger("authorizer").addHandler(handler)

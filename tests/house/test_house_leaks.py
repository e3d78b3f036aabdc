"""The watch over the whole run sees a secret wherever one comes out; each test here tells one and says so."""

import logging
import secrets
import time
from pathlib import Path

import pytest

from authorizer.doors.problem import denial
from authorizer.errors import KeyMaterialError
from authorizer.files import read_secret
from authorizer.jose import sign
from authorizer.model import Decision
from authorizer.pdp.api_keys import make
from authorizer.reasons import reason
from authorizer.telemetry.decision_event import maker
from authorizer.telemetry.exposition import renderer
from authorizer.telemetry.metrics import Metrics
from tests import leaks

PEM = sign.generate("ES256")


def of_a_file(home: Path) -> str:
    (home / "secret").write_text("correct horse, battery staple")
    return read_secret(home / "secret", 1).decode()


SECRETS = {
    "token": lambda _: sign.sign({"sub": "x"}, PEM, "ES256", "k").rpartition(".")[2],
    "API key": lambda _: make(secrets.token_bytes(42), b"")[0].split("_", 2)[2],
    "private key": lambda _: PEM.decode().splitlines()[1],
    "file": of_a_file,
    "declared": lambda _: leaks.secret(secrets.token_urlsafe(24)),
}


def by_metrics(text: str) -> None:
    metrics = Metrics("1")
    metrics.bundle_refused(text, "AZ300")
    renderer(metrics, time.time)("")


def by_event(text: str) -> None:
    decision = Decision(reason=reason("no_route"), detail=f"it is {text}")
    maker({})((0.0, "GET", "a", "/", "", "http", decision, 0.0, ""))


OUTLETS = {
    "log": lambda text: logging.getLogger("authorizer.test").warning("it is %s", text),
    "error": lambda text: KeyMaterialError("AZ400", f"it is {text}"),
    "denial": lambda text: denial(Decision(reason=reason("no_route"), challenge=f'Bearer realm="{text}"', body=text)),
    "metrics": by_metrics,
    "decision": by_event,
}


@pytest.mark.parametrize("outlet", OUTLETS)
@pytest.mark.parametrize("kind", SECRETS)
def test_it_is_seen(kind: str, outlet: str, tmp_path: Path) -> None:
    OUTLETS[outlet]("nothing")
    assert leaks.found == []
    OUTLETS[outlet](SECRETS[kind](tmp_path))
    assert [where.split(" ")[0] for where in leaks.found] == [outlet]
    leaks.found.clear()


def test_it_is_seen_in_what_a_process_wrote(tmp_path: Path) -> None:
    text = SECRETS["token"](tmp_path)
    (tmp_path / "serve.log").write_text(f"it is {text}")
    leaks.look_at_files(tmp_path)
    assert leaks.found == ["serve.log"]
    (tmp_path / "serve.log").unlink()
    leaks.found.clear()

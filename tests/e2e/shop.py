"""The demo's policies in an authorizer of this process, with callers' tokens and a clock that tests may set."""

import time
from pathlib import Path

from authorizer import demo
from authorizer.demo.callers import issue
from authorizer.model import KINDS
from authorizer.pdp.snapshot import Options, Snapshot, build
from authorizer.pdp.sources import compile_documents
from authorizer.service import Authorizer
from authorizer.settings import IDENTITY_HEADERS

POLICIES = Path(demo.__file__).parent / "policies"


class Clock:
    """A clock that stands still, or goes on from a moment when ``set`` to None."""

    def __init__(self) -> None:
        self.now: float | None = None

    def __call__(self) -> float:
        return time.time() if self.now is None else self.now


def snapshot(files: dict[str, bytes]) -> Snapshot:
    """Compile documents as ``authorizer serve`` does."""
    documents = compile_documents(files).documents()
    options = Options(realm="shop", identity_headers=dict(IDENTITY_HEADERS))
    return build(documents, dict.fromkeys(KINDS, "test"), options)


def shop(directory: Path) -> tuple[Authorizer, dict[str, str]]:
    """Return an authorizer for the demo's policies, and the tokens of its callers."""
    tokens = issue(directory, directory / "tokens", time.time())
    files = {path.name: path.read_bytes() for path in [*POLICIES.glob("*.yaml"), directory / "keys.json"]}
    return Authorizer(snapshot(files), clock=Clock()), tokens

"""Estates for tests: documents compiled, with the engine that answers their cases."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from authorizer.pdp import rehearsal, snapshot
from authorizer.pdp.sources import Sources, compile_documents
from authorizer.policy.authoring.trials import Engine, Trials

EXAMPLES = Path(__file__).parents[3] / "shared" / "design" / "examples"
DATA = Path(__file__).parent / "data"
needs_examples = pytest.mark.skipif(not EXAMPLES.is_dir(), reason=f"no example documents at {EXAMPLES}")


def sources(*texts: str, **files: str) -> Sources:
    """Compile documents that have no errors."""
    named = {f"{number}.yaml": text for number, text in enumerate(texts, 1)}
    named |= {f"{name}.yaml": text for name, text in files.items()}
    found = compile_documents({name: text.encode() for name, text in named.items()})
    assert found.estate is not None, "\n".join(map(str, found.problems))
    return found


def engine(found: Sources) -> Engine:
    documents = found.documents()

    def answers(form: Mapping | None):
        asked = documents if form is None else {**documents, "policy": form}
        return partial(rehearsal.ask, snapshot.build(asked, {}, snapshot.Options()))

    return answers


def trials(found: Sources) -> Trials:
    assert found.estate is not None
    return Trials(found.estate, found.tests, engine(found))

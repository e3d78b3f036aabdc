"""A control plane that a test asks, and a real PostgreSQL for the tests that need one."""

import pytest

from authorizer.control_plane.server.running import Config
from tests.control_plane.plane import TOKENS, serving
from tests.control_plane.postgres import Database, programs


@pytest.fixture(scope="module")
def database():
    pytest.importorskip("psycopg")
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    made = Database(found)
    yield made
    made.remove()


@pytest.fixture
def config(tmp_path) -> Config:
    return Config(state=tmp_path / "state", tokens=TOKENS)


@pytest.fixture
async def plane(config):
    async with serving(config) as made:
        yield made

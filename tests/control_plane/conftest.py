"""A real PostgreSQL for the tests that need one."""

import pytest

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

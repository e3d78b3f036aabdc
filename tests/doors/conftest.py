"""A forward-auth door that a test asks."""

import pytest

from tests.doors.forward_auth_client import Fake, door


@pytest.fixture
async def client():
    async with door(Fake()) as opened:
        yield opened

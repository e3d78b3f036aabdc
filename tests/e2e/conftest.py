"""Fixtures that live as long as one test: a group of child processes and a sample API."""

from collections.abc import AsyncIterator

import pytest

from authorizer.demo.processes import Children
from authorizer.demo.processes import children as child_group
from tests.e2e.world import Api, sample_api


@pytest.fixture
async def children() -> AsyncIterator[Children]:
    async with child_group() as group:
        yield group


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with sample_api() as running:
        yield running

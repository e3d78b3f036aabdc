"""Fixtures that live as long as one test: a group of child processes and a sample API."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from authorizer.demo.processes import Children
from authorizer.demo.processes import children as child_group
from authorizer.gateways.envoy import Check
from authorizer.service import Authorizer
from tests.e2e.shop import Clock
from tests.e2e.sidecar import NOON, Sidecar
from tests.e2e.world import Api, envoy, open_doors, sample_api


@pytest.fixture
async def children() -> AsyncIterator[Children]:
    async with child_group() as group:
        yield group


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with sample_api() as running:
        yield running


@pytest.fixture
async def sidecar(children: Children, api: Api, tmp_path: Path):
    clock = Clock()
    clock.now = NOON
    authorizer = Authorizer(clock=clock)
    async with open_doors(authorizer) as doors:
        gateway = await envoy(children, tmp_path, Check(address=doors.grpc, body_bytes=8192), api.address)
        yield Sidecar(authorizer, clock, gateway, doors, api)

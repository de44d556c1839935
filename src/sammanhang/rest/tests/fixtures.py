"""Fixtures for tests that speak HTTP with the FHIR API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from sammanhang.operate.testing import _copy

from .api import Api, api


@pytest.fixture(scope="module")
def module_database(cluster: str, template: str) -> Iterator[str]:
    """The connection string of a migrated database for the tests of one module."""
    yield from _copy(cluster, template)


@pytest_asyncio.fixture
async def fhir(module_database: str) -> AsyncIterator[Api]:
    """The API on the module's database."""
    async with api(module_database) as client:
        yield client


@pytest_asyncio.fixture
async def fresh(empty_database: str) -> AsyncIterator[Api]:
    """The API on a database of this test alone."""
    async with api(empty_database) as client:
        yield client

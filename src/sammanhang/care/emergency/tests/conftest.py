"""The people of the stories, and one whom nobody has asked."""

from __future__ import annotations

import pytest_asyncio

from sammanhang.access.tests.unasked import amira_with_nisse
from sammanhang.web.testing import *  # noqa: F403


@pytest_asyncio.fixture
async def amira(as_, town):
    """Amira, with Nisse in her care."""
    return await amira_with_nisse(as_, town)

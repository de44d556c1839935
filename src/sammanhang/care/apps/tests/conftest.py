"""The people of the stories, and an app for them to let in."""

from __future__ import annotations

import pytest
import pytest_asyncio

from sammanhang.web.testing import *  # noqa: F403

from .smart import registered


@pytest.fixture(name="town")
def town_of_its_own(own_town):
    """These tests register apps and grant them things, so each module has a region of its own."""
    return own_town


@pytest_asyncio.fixture
async def amira(as_):
    """Amira, nurse in home care, logged in."""
    return await as_("Amira Haddad", "Centrum")


@pytest_asyncio.fixture
async def app(browser):
    """A public app that anybody is offered."""
    return await registered(browser)

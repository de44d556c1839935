"""For journeys that leave something behind: a region of the module's own, a server on it, windows into it.

from .own_region import server, signed_in, town  # noqa: F401
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext

from .conftest import serving, windows

__all__ = ["server", "signed_in", "town"]


@pytest.fixture(scope="module")
def town(own_town: str) -> str:
    """A region nobody else changes."""
    return own_town


@pytest.fixture(scope="module")
def server(town: str) -> Iterator[str]:
    """The address of a server on it."""
    yield from serving(town)


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, server: str) -> Callable[..., BrowserContext]:
    """As in `conftest`, on that server."""
    return windows(chromium, server)

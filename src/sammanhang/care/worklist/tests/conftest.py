"""The people of the stories on a region of each module's own, which it may change, and tasks."""

import pytest

from sammanhang.web.testing import as_, browser, own_town
from sammanhang.work.testing import services

__all__ = ["as_", "browser", "own_town", "services"]


@pytest.fixture(scope="module")
def town(own_town: str) -> str:
    """Where people log in: the module's own region."""
    return own_town

"""The people of the stories, and services whose data may be changed."""

import pytest

from sammanhang.web.testing import *  # noqa: F403
from sammanhang.work.testing import services as changing

__all__ = ["changing"]


@pytest.fixture  # type: ignore[no-redef]
def town(own_town):
    """These tests write, so each module has a region of its own."""
    return own_town

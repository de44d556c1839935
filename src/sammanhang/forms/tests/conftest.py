"""The people of the stories; in Swedish, whatever an earlier test chose."""

import pytest

from sammanhang.kernel import i18n
from sammanhang.web.testing import *  # noqa: F403


@pytest.fixture(autouse=True)
def swedish() -> None:
    i18n.use("sv")

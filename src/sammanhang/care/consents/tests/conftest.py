"""The people of the stories, and one whom nobody has asked."""

from sammanhang.care.emergency.tests.conftest import amira  # noqa: F401
from sammanhang.web.testing import *  # noqa: F403

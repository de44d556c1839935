"""The people of the stories, and one whom nobody has asked."""

from sammanhang.web.testing import *  # noqa: F403
from sammanhang.web.tests.nisse import amira  # noqa: F401

"""The people of the stories on a region that may be changed, and tasks."""

from sammanhang.web.testing import *  # noqa: F403
from sammanhang.work.testing import services as services

"""The people of the stories."""

from sammanhang.web.testing import *  # noqa: F403

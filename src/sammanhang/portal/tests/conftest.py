"""The people of the stories, and a browser without a screen."""

from sammanhang.web.testing import *  # noqa: F403

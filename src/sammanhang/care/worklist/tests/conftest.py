"""The people of the stories on a region that may be changed, and tasks."""

from sammanhang.web.testing import as_, browser, own_town, town
from sammanhang.work.testing import services

__all__ = ["as_", "browser", "own_town", "services", "town"]

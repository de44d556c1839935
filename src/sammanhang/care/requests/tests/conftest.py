from sammanhang.web.testing import *  # noqa: F403
from sammanhang.work.testing import services as changing

__all__ = ["changing"]

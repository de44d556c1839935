from sammanhang.web.testing import own_town, town
from sammanhang.work.testing import services

__all__ = ["own_town", "services", "town"]

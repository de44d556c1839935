"""Named SQL for the shell and the slices; see `store.named`."""

from sammanhang.store.named import queries

__all__ = ["queries"]

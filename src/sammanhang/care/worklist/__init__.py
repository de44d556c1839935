"""Worklists: what there is to do, whose it is, and by when."""

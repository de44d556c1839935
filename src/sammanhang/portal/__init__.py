"""The resident's own view."""

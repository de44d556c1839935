"""Sammanhang: an open care-information environment for a Swedish region."""

__version__ = "0.1.0"

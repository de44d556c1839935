"""Fixtures of this folder's tests."""

from sammanhang.rest.tests.fixtures import fhir, fresh, module_database

__all__ = ["fhir", "fresh", "module_database"]

"""Fixtures of the adapters' tests."""

from recsys_pipeline_tests.adapters.sql_fixtures import shop

__all__ = ["shop"]

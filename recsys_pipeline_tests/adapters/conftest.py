"""Fixtures of the adapters' tests."""

from recsys_pipeline_tests.adapters.mirror_server import client, home, server
from recsys_pipeline_tests.adapters.sql_fixtures import shop

__all__ = ["client", "home", "server", "shop"]

"""The browser that the tests of a module share."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from recsys_pipeline_tests.browser.chromium import launched


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser

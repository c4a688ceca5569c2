"""Where arrays go."""

import pytest

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.learning.neural.sharding import Placement


def test_more_devices_than_there_are_is_an_error() -> None:
    with pytest.raises(SettingError, match=r"n_devices=10000, but there are"):
        Placement(10_000)

"""Settings of shop the look: combinations that make no sense are refused, with the way out."""

from typing import Any

import pytest

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.learning.looks.config import StlConfig


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tower": "babel"}, "backbone, book, palette, strong, style"),
        ({"widths": ()}, "widths"),
        ({"loss": "batch_hard", "mining": "given"}, "take mining in_batch"),
        ({"loss": "batch_hard", "mining": "semi_hard"}, "loss triplet"),
        ({"loss": "softmax", "mining": "semi_hard"}, "weighs hard negatives by itself"),
        ({"mining": "hardest_of_n"}, "n_negatives of 2 or more"),
        ({"mining": "in_batch", "n_negatives": 3}, "leave n_negatives at 1"),
        ({"tower": "backbone"}, "needs backbone"),
        ({"tower": "backbone", "backbone": "a:B"}, "needs backbone_weights"),
        ({"backbone": "a:B"}, "for tower='backbone'"),
        ({"finetune": True}, "for tower='backbone'"),
        ({"n_devices": 3}, "take a multiple of it"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        StlConfig(**wrong)


def test_categories_matter_to_the_networks_only_where_scores_know_them() -> None:
    assert StlConfig().architecture(64, 9) == StlConfig().architecture(64, 12)
    local = StlConfig(compatibility="local")
    assert local.architecture(64, 9) != local.architecture(64, 12)

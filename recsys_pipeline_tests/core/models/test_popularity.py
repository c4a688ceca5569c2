"""The popularity baseline."""

import numpy as np

from recsys_pipeline.core.models import popularity
from recsys_pipeline_tests.model_battery import ModelBattery, planted_blocks


class TestPopularity(ModelBattery):
    model = "popularity"
    floor = 0.05  # the same list for all: no better than chance here


def test_scores_are_counts() -> None:
    train = planted_blocks()[0]
    scores = popularity.fit(train, popularity.PopularityConfig(), seed=0).scores(np.array([5], np.int32))
    assert scores[0].tolist() == [int((train.item == item).sum()) for item in range(train.n_items)]

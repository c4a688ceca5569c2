"""The random baseline."""

import numpy as np

from recsys_pipeline.core.models import random
from recsys_pipeline_tests.model_battery import ModelBattery, planted_blocks


class TestRandom(ModelBattery):
    model = "random"
    floor = 0.0


def test_scores_are_uniform_and_differ_by_user_and_seed() -> None:
    train = planted_blocks()[0]
    users = np.arange(train.n_users, dtype=np.int32)
    first, second = (random.fit(train, random.RandomConfig(), seed).scores(users) for seed in (1, 2))
    assert abs(first.mean() - 0.5) < 0.02
    assert 0 <= first.min() < first.max() < 1
    assert len(np.unique(first)) > 0.99 * first.size
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.1

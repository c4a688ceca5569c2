"""Models that can be released: a user whom the fit knew keeps the list when only the history is told again."""

import numpy as np
import pytest

from recsys_pipeline.core.configs import parse_config
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.recommenders import lacks_for_release
from recsys_pipeline_tests.model_battery import SEED, planted_blocks

RELEASABLE = sorted(name for name, spec in discover().items() if not lacks_for_release(spec.model))
PLACES = 5


@pytest.mark.parametrize("name", RELEASABLE)
def test_a_folded_in_known_user_gets_nearly_the_lists_that_the_fit_gave(name: str) -> None:
    """Lists of other users of the same taste share a third of their places: it is the user that is found again."""
    train, spec = planted_blocks()[0], discover()[name]
    model = spec.fit(train, parse_config(spec.config, {"embedding_size": 8}), SEED)
    unseen = np.ones((train.n_users, train.n_items), bool)
    unseen[train.user, train.item] = False

    def lists(user_vectors: np.ndarray) -> np.ndarray:
        scores = np.where(unseen, user_vectors @ model.item_vectors().T, -np.inf)
        return np.argsort(-scores, axis=1)[:, :PLACES]

    fitted, folded_in = lists(model.user_vectors()), lists(model.fold_in(train))
    shared = [len(set(one) & set(other)) / PLACES for one, other in zip(fitted, folded_in, strict=True)]
    assert np.mean(shared) > 0.85
    assert np.mean(np.array(shared) < 0.6) < 0.05, "hardly anybody gets another list"

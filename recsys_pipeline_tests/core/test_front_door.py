"""The core as a library: every public name is there, costs only itself, and carries one from data to a verdict."""

import subprocess
import sys

import numpy as np
import pytest

from recsys_pipeline import core


def test_every_public_name_is_there() -> None:
    assert sorted(core._PLACES) == sorted(core.__all__) == sorted(dir(core))
    assert all(getattr(core, name) is not None for name in core.__all__)
    with pytest.raises(AttributeError, match="has no 'Rattings'; it has SIZES"):
        core.Rattings  # noqa: B018


def test_a_name_costs_only_itself() -> None:
    heavy = "{'jax', 'pandas', 'dagster', 'numpy'}"
    code = f"import sys; from recsys_pipeline.core import Window; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_from_ratings_to_a_verdict() -> None:
    """What a notebook does: split in time order, fit two models, judge both on the same rows."""
    from recsys_pipeline.core import Ratings, best_against_others, discover, divide, evaluate_ranking, prequential

    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(40), 12).astype(np.int32)
    item = (rng.integers(0, 15, len(user)) + 15 * (user % 2)).astype(np.int32)  # two tastes
    at = np.arange(len(user), dtype=np.int64)
    data = Ratings(user, item, np.ones(len(user), np.float32), at, n_users=40, n_items=30)
    outer = prequential(data, test_share=0.2, seed=0)
    fold = divide(data, outer, prequential(data.take(outer.train), 0.1, seed=1))
    results = []
    for name in ("popularity", "cooccurrence"):
        spec = discover()[name]
        model = spec.fit(fold.train_and_validation, spec.config(), 0)
        results.append(evaluate_ranking(model, fold.train_and_validation, fold.test, [10], name=name))
    (gap,) = [row for row in best_against_others(results, seed=0) if (row.metric, row.k) == ("ndcg", 10)]
    assert gap.value != 0
    assert results[1].mean("ndcg", 10) > results[0].mean("ndcg", 10), "tastes are told apart"

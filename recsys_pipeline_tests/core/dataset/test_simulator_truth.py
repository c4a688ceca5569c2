"""The truth behind the marketplace: better than popularity, which is better than chance; and learnable from clicks."""

from datetime import UTC, date, datetime
from functools import cache

import numpy as np
import pytest
from jaxtyping import Bool
from scipy.sparse.linalg import svds

from recsys_pipeline.core.dataset.simulator import SIZES, Simulator, SimulatorConfig
from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.time import Window

CONFIG = SimulatorConfig(n_users=500, n_items=400, items_per_day=4, users_per_day=2, requests_per_day=1_600)
TRAIN = Window.of_days(date(2026, 1, 1), date(2026, 1, 21))
TEST = Window.of_days(date(2026, 1, 22), date(2026, 1, 23))
NOON = datetime(2026, 1, 23, 12, tzinfo=UTC)


@cache
def shop() -> Simulator:
    return Simulator(CONFIG, seed=3)


@cache
def positives(window: Window) -> Bool[np.ndarray, "users items"]:
    events = shop().interactions(window).read_all().to_pandas()
    events = events[events["event"] != "view"]
    pairs = np.zeros((CONFIG.n_users + 2 * 23, CONFIG.n_items + 4 * 23), bool)
    pairs[events["user_id"].str[1:].astype(int), events["item_id"].str[1:].astype(int)] = True
    return pairs


def ndcg(scores: np.ndarray, k: int = 10) -> float:
    """Mean NDCG@k of the test days' new pairs, over the users who have any; pairs of the train days are left out."""
    seen, wanted = positives(TRAIN), positives(TEST) & ~positives(TRAIN)
    users = wanted.any(axis=1)
    top = np.argsort(-np.where(seen, -np.inf, scores)[users], axis=1)[:, :k]
    discount = 1 / np.log2(np.arange(k) + 2)
    gain = (np.take_along_axis(wanted[users], top, axis=1) * discount).sum(axis=1)
    ideal = np.cumsum(discount)[np.minimum(wanted[users].sum(axis=1), k) - 1]
    return float((gain / ideal).mean())


def test_truth_beats_popularity_beats_chance_and_a_factorisation_learns_it() -> None:
    train = positives(TRAIN).astype(float)
    n_users, n_items = train.shape
    truth = shop().expected_utility(np.arange(n_users), np.arange(n_items), NOON)
    users, sizes, items = svds(train / np.sqrt(train.sum(axis=0) + 1), k=8, rng=np.random.default_rng(0))
    score = {
        "truth": ndcg(truth),
        "factors": ndcg(users * sizes @ items),
        "popularity": ndcg(np.tile(train.sum(axis=0), (n_users, 1))),
        "chance": ndcg(np.random.default_rng(0).random(train.shape)),
    }
    assert score["truth"] > 1.5 * score["popularity"], score
    assert score["factors"] > 1.3 * score["popularity"], score
    assert score["popularity"] > 2 * score["chance"], score


def test_ids_and_row_numbers_name_the_same_pairs() -> None:
    by_row = shop().expected_utility([3, 1], [7, 0, 5], NOON)
    by_id = shop().expected_utility(["u000003", "u000001"], ["p000007", "p000000", "p000005"], NOON)
    assert by_row.shape == (2, 3)
    np.testing.assert_array_equal(by_row, by_id)


def test_click_probability_is_the_logistic_utility_times_examination() -> None:
    utility = shop().expected_utility([0, 1], [0, 1, 2], NOON)
    third = shop().click_probability([0, 1], [0, 1, 2], NOON, position=2)
    odds = 1 / (1 + np.exp(-(CONFIG.click_bias + utility)))
    np.testing.assert_allclose(third, odds * 3**-CONFIG.examination_decay, rtol=1e-5)


def test_tastes_drift() -> None:
    later = datetime(2026, 4, 22, 12, tzinfo=UTC)
    before, after = (shop().expected_utility(np.arange(100), np.arange(400), at) for at in (NOON, later))
    correlation = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(before, after, strict=True)])
    assert 0.3 < correlation.mean() < 0.95


@pytest.mark.parametrize("users", [["p000001"], ["u1"], [100_000], [-1]])
def test_unknown_users_are_refused(users: list) -> None:
    with pytest.raises(DataError, match=r"u000123|reach outside"):
        shop().expected_utility(users, [0], NOON)


def test_fingerprint_follows_config_and_seed() -> None:
    prints = {
        source.fingerprint(TRAIN)
        for source in (Simulator(SIZES["tiny"]), Simulator(SIZES["tiny"], seed=1), Simulator(SIZES["demo"]), shop())
    }
    assert len(prints) == 4
    assert Simulator(SIZES["tiny"]).fingerprint(TRAIN) in prints
    assert [Simulator(SIZES["tiny"], seed=seed).name for seed in (0, 4)] == ["simulator-tiny", "simulator-tiny-seed4"]

"""Named protocols: each makes the cut that its name says, or says what it lacks."""

import numpy as np
import pytest

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.folds.leave_last_out import leave_last_out
from recsys_pipeline.core.folds.prequential import prequential
from recsys_pipeline.core.folds.protocols import PROTOCOLS, cut
from recsys_pipeline.core.folds.strong_generalisation import strong_generalisation
from recsys_pipeline.core.ratings import Ratings


def some_ratings() -> Ratings:
    generator = np.random.default_rng(0)
    user, item = np.nonzero(generator.random((30, 20)) < 0.3)
    at = generator.permutation(len(user)).astype(np.int64)
    ids = user.astype(np.int32), item.astype(np.int32)
    return Ratings(*ids, np.ones(len(user), np.float32), at, 30, 20)


def rows(ratings: Ratings) -> list[tuple[int, int]]:
    return list(zip(ratings.user.tolist(), ratings.item.tolist(), strict=True))


def test_each_name_makes_its_own_cut() -> None:
    data = some_ratings()
    tested = {
        "leave_last_out": leave_last_out(data).test,
        "prequential": prequential(data, 0.3, seed=2).test,
        "strong_generalisation": strong_generalisation(data, 0.3, seed=2).test,
    }
    assert set(tested) == set(PROTOCOLS)
    for name, expected in tested.items():
        share = None if name == "leave_last_out" else 0.3
        split, sentence = cut(data, name, share, seed=2, knows_order=True)
        assert rows(split.test) == rows(data.take(expected))
        assert ("30%" in sentence) == (share is not None)
        assert split.folds_in == (name == "strong_generalisation")
        parts = [split.train, split.test, *([split.known] if split.folds_in else [])]
        assert sorted(row for part in parts for row in rows(part)) == sorted(rows(data))


def test_without_a_share_the_default_is_used_and_told() -> None:
    split, sentence = cut(some_ratings(), "prequential", None, seed=0, knows_order=True)
    assert len(split.test) == round(0.1 * len(some_ratings()))
    assert sentence.startswith("10%")


@pytest.mark.parametrize("name", ["leave_last_out", "prequential"])
def test_what_came_last_cannot_be_tested_without_times(name: str) -> None:
    with pytest.raises(DataError, match=f"{name} tests what came last, and the data has no times"):
        cut(some_ratings(), name, None, seed=0, knows_order=False)
    assert len(cut(some_ratings(), "strong_generalisation", None, seed=0, knows_order=False)[0].test)


@pytest.mark.parametrize(
    ("name", "share", "reason"),
    [
        ("leave_one_out", None, "is unknown: use leave_last_out, prequential, strong_generalisation"),
        ("leave_last_out", 0.1, "leave_last_out has no test share"),
        ("prequential", 0.0, "test_share"),
        ("strong_generalisation", 1.0, "user_share"),
    ],
)
def test_wrong_settings_are_refused(name: str, share: float | None, reason: str) -> None:
    with pytest.raises(SettingError, match=reason):
        cut(some_ratings(), name, share, seed=0, knows_order=True)


def test_nothing_to_test_is_an_error() -> None:
    data = some_ratings()
    _, first = np.unique(data.user, return_index=True)
    lonely = data.take(first)
    with pytest.raises(DataError, match="leaves nothing to test"):
        cut(lonely, "leave_last_out", None, seed=0, knows_order=True)

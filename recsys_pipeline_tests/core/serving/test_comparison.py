"""Two releases beside each other: paired figures on rows that neither has seen, lists, and the page."""

import numpy as np
import pytest

from recsys_pipeline.core.models.als import AlsConfig
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.serving.comparison import SHOWN_USERS, Comparison, ListPair, compare
from recsys_pipeline.core.serving.comparison_page import (
    ComparedReleases,
    SettingRow,
    lists_in_words,
    render_comparison,
    verdict,
)
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline_tests.release_fixtures import N_USERS, fitted, ratings, tiny_release

GOOD = AlsConfig(embedding_size=4, epochs=8, gravity=1.0)
WEAK = AlsConfig(embedding_size=1, epochs=0)
"""Never fitted: its order of items is that of its random start."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return tiny_release(tmp_path_factory.mktemp("own") / "release", of_model=GOOD)


@pytest.fixture(scope="module")
def weak(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return tiny_release(tmp_path_factory.mktemp("weak") / "release", of_model=WEAK)


def known_and_test() -> tuple[Ratings, Ratings]:
    """What the models were fitted on but two items of each user; and a test that holds items which none was fitted on.

    Users of one group choose what others of the group have, so that a fitted model knows better than chance.
    """
    everything = ratings().take(fitted())
    pairs = set(zip(everything.user.tolist(), everything.item.tolist(), strict=True))
    rng = np.random.default_rng(1)
    fresh = [
        (user, rng.choice([item for item in range(9 * (user % 2), 9 * (user % 2) + 9) if (user, item) not in pairs]))
        for user in range(N_USERS)
    ]
    user, item = np.array(fresh, np.int32).T
    test = Ratings(
        user, item, np.ones(N_USERS, np.float32), np.full(N_USERS, everything.timestamp_us.max()),
        everything.n_users, everything.n_items,
    )  # fmt: skip
    return everything, test


def test_a_release_is_no_better_than_itself(own: Release) -> None:
    found = compare(own, own, *known_and_test(), [], seed=0)
    assert found.primary is not None
    assert found.primary.difference.value == 0.0
    assert (found.changed, found.overlap, found.coverage[0]) == (0.0, 1.0, found.coverage[1])
    assert "within chance" in verdict(found)


def test_an_unfitted_model_is_clearly_worse_on_the_same_users(own: Release, weak: Release) -> None:
    found = compare(own, weak, *known_and_test(), [], seed=0)
    assert found.primary is not None
    gap = found.primary.difference
    assert gap.n == N_USERS
    assert gap.value == pytest.approx(found.primary.other - found.primary.own)
    assert gap.high < 0
    assert verdict(found).startswith("The experiment is clearly worse: NDCG@10")
    assert 0 < found.changed <= 1
    overlaps = [pair.overlap for pair in found.shown]
    assert len(found.shown) == SHOWN_USERS
    assert overlaps == sorted(overlaps)


def test_rows_that_either_was_fitted_on_decide_nothing(own: Release, weak: Release) -> None:
    known, test = known_and_test()
    some = test.take(np.arange(10))
    assert compare(own, weak, known, known, [], seed=0).test_rows == 0, "both were fitted on all of it"
    found = compare(own, weak, known, test, [some], seed=0)
    assert (found.test_rows, found.rows_left_out) == (N_USERS - 10, 10)
    nothing = compare(own, weak, known, test, [test], seed=0)
    assert nothing.primary is None
    assert "nothing to judge accuracy by" in verdict(nothing)


def test_the_overlap_of_lists_counts_items_of_the_longer() -> None:
    assert ListPair("u", ("a", "b"), ("b", "c", "d", "e")).overlap == 0.25
    assert ListPair("u", (), ()).overlap == 1.0


def page(found: Comparison, **changes: object) -> str:
    about = {"settings": (SettingRow("models/als.reg", "0.1 (default)", "0.2 (<b>form</b>)"),), "notes": ()}
    return render_comparison(
        found,
        ComparedReleases("shop", "2026-01-05", "a" * 64, gate=("passed", "passed"), titles={}, **{**about, **changes}),  # pyright: ignore[reportArgumentType]
    )


def test_the_page_holds_everything_and_nothing_from_outside(own: Release, weak: Release) -> None:
    found = compare(own, weak, *known_and_test(), [], seed=0)
    text = page(found, notes=("They have other folds.",))
    for part in ("models/als.reg", "clearly worse", "They have other folds.", found.shown[0].user, "Experiment"):
        assert part in text
    assert "<b>form</b>" not in text, "texts are escaped"
    assert "http" not in text.replace("http://www.w3.org", "")
    assert text == page(found, notes=("They have other folds.",))


def test_the_page_stands_without_lists_and_without_rows() -> None:
    found = Comparison((), 0, 5, 0, (0.0, 0.0), 0.0, 0.0, ())
    assert lists_in_words(found) == "No user is in both: there are no lists to compare."
    assert "nothing to judge accuracy by" in page(found)

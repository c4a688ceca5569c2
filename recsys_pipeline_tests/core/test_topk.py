"""The one top-k against a plain sort, with massive ties, and with the same answer on every processor."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.topk import top_k, top_k_plainly

FEW = st.sampled_from([-np.inf, -1.5, -0.0, 0.0, 1.0, 2.0, np.inf])


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, int, np.ndarray | None]:
    """Scores of few values, more columns than fit one block, and keys that tie too."""
    kind = draw(st.sampled_from([np.float32, np.float64]))
    shape = (draw(st.integers(0, 3)), draw(st.sampled_from([0, 1, 5, 63, 64, 65, 200])))
    scores = draw(nps.arrays(kind, shape, elements=FEW, fill=FEW))
    small = st.sampled_from([0, 1, 2, 2**63, 2**64 - 1])
    key = draw(
        st.one_of(
            st.none(),
            nps.arrays(np.uint64, shape[1], elements=small, fill=small),
            nps.arrays(np.uint64, shape, elements=small, fill=small),
        )
    )
    return scores, draw(st.sampled_from([0, 1, 2, 7, 64, 250])), key


@settings(max_examples=300)
@given(cases())
def test_equals_the_plain_sort(case: tuple[np.ndarray, int, np.ndarray | None]) -> None:
    scores, k, key = case
    columns, best = top_k(scores, k, key)
    expected, of_expected = top_k_plainly(scores, k, key)
    assert columns.shape == best.shape == (len(scores), k)
    assert best.dtype == scores.dtype
    for row, (wanted, values) in enumerate(zip(expected, of_expected, strict=True)):
        assert columns[row, : len(wanted)].tolist() == wanted
        assert best[row, : len(wanted)].tolist() == values
        assert (columns[row, len(wanted) :] == -1).all()
        assert np.isneginf(best[row, len(wanted) :]).all()


@pytest.mark.parametrize("n", [1_000, 50_000])
def test_thousands_of_equals_are_cut_by_the_rule(n: int) -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 3, (4, n)).astype(np.float32)
    key = rng.integers(0, 1 << 40, n).astype(np.uint64)
    for k in (10, n // 2, n):
        by_row = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(top_k(scores, k)[0], by_row)
        by_key = np.stack([np.lexsort((key, -row)) for row in scores])[:, :k]
        np.testing.assert_array_equal(top_k(scores, k, key)[0], by_key)


def test_any_layout_of_scores_will_do() -> None:
    scores = np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32)
    wanted = top_k(scores, 5)[0]
    for same in (np.asfortranarray(scores), np.repeat(scores, 2, axis=1)[:, ::2], np.flip(scores[::-1].copy(), 0)):
        np.testing.assert_array_equal(top_k(same, 5)[0], wanted)
    one = np.broadcast_to(scores[0], (3, 40))
    np.testing.assert_array_equal(top_k(one, 5)[0], np.repeat(wanted[:1], 3, axis=0))


@pytest.mark.parametrize("column", [0, 3, 70, 129])
@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("key", [None, np.arange(130, dtype=np.uint64)], ids=["by column", "by key"])
def test_a_score_that_is_no_number_is_named(column: int, level: float, key: np.ndarray | None) -> None:
    scores = np.zeros((3, 130), np.float32)
    scores[1] = np.sign(np.arange(130) - 65) * level
    scores[1, column] = np.nan
    with pytest.raises(ModelError, match=f"row 1, column {column} is NaN"):
        top_k(scores, 2, key)


def test_fewer_than_no_places_are_refused() -> None:
    with pytest.raises(SettingError, match="k = -1"):
        top_k(np.zeros((1, 2), np.float32), -1)

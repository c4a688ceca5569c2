"""The one top-k against a plain sort, with massive ties, and with the same answer on every processor."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

import recsys_pipeline
from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.kernels import top_k, top_k_plainly, top_k_refined

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


@settings(max_examples=100)
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


# -- scores that are dear ---------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 3, 10, 70]),
    st.sampled_from([0, 1, 32]),
    st.sampled_from([0.0, 0.6]),
    st.booleans(),
)
def test_refined_lists_are_those_of_the_true_scores(seed: int, k: int, slack: int, error: float, has_key: bool) -> None:
    """Rough scores are off by up to the error, many true ones are equal, and some candidates fall away on the way."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 4, (3, 60)).astype(np.float32)
    rough = true + rng.uniform(-error, error, true.shape).astype(np.float32)
    rough[rng.random(true.shape) < 0.1] = -np.inf
    true[np.isneginf(rough) | (rng.random(true.shape) < rng.choice([0, 0.5, 1]))] = -np.inf
    key = rng.integers(0, 9, 60).astype(np.uint64) if has_key else None

    def refine(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = np.where(columns < 0, np.float32(-np.inf), true[rows[:, None], columns])
        return found, np.full(len(rows), error, np.float32)

    found, wanted = top_k_refined(rough, k, refine, key, slack), top_k(true, k, key)
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(found[1], wanted[1])


def test_no_more_is_refined_than_is_needed() -> None:
    asked: list[tuple[int, ...]] = []

    def refine(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(columns.shape)
        return scores[rows[:, None], columns], np.full(len(rows), 0.01, np.float32)

    scores = np.arange(2000, dtype=np.float32).reshape(2, 1000)
    scores[1, 900:] = 5000  # a tie that is longer than the slack
    top_k_refined(scores, 10, refine, slack=32)
    assert asked == [(2, 42), (1, 336)]


# -- every processor --------------------------------------------------------------------------------------------------

PROGRAM = """
import hashlib
import numpy as np
from recsys_pipeline.core.neighbors.hubness import csls_penalty
from recsys_pipeline.core.neighbors.similar import nearest_by_cosine
from recsys_pipeline.core.reports.monitoring.retrieval_sample import Retrieval, top_lists
from recsys_pipeline.core.kernels import top_k

rng = np.random.default_rng(0)
scores = rng.integers(0, 5, (20, 3000)).astype(np.float32)
key = rng.integers(0, 2**63, 3000).astype(np.uint64)
vectors = np.repeat(rng.normal(size=(30, 24)), 100, axis=0).astype(np.float32)
users, none = rng.normal(size=(20, 24)).astype(np.float32), np.empty(0, np.int64)
retrieval = Retrieval(users, vectors, none, none, np.arange(3000), np.arange(20), key)
parts = [*top_k(scores, 50), *top_k(scores, 50, key), *top_lists(retrieval, np.arange(20), np.arange(3000), 50)]
parts += [*nearest_by_cosine(users, vectors, 50), csls_penalty(scores + np.float32(0.1), 7)]
print(hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest())
"""
LEVELS = ("", "X86_V4", "X86_V3 X86_V4")
"""What NumPy 2.4 is told to do without: nothing, AVX512, and AVX2 too."""


def test_the_same_bits_on_every_processor() -> None:
    """NumPy sorts and parts by other code on each of these, whose order of equals differs."""
    here = [level for level in LEVELS if set(level.split()) <= _dispatched()]
    assert here, "NumPy names its features anew: bring LEVELS up to date"
    runs = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM],
            env={**os.environ, "NPY_DISABLE_CPU_FEATURES": level},
            stdout=subprocess.PIPE,
            text=True,
        )
        for level in here
    ]
    digests = [run.communicate()[0].strip() for run in runs]
    assert [run.returncode for run in runs] == [0] * len(runs)
    assert len(set(digests)) == 1, dict(zip(here, digests, strict=True))


def _dispatched() -> set[str]:
    """Features that this NumPy may be told to do without on this machine."""
    found = np.show_config(mode="dicts")
    assert found is not None
    return set(found["SIMD Extensions"].get("found", ()))


# -- nobody else ------------------------------------------------------------------------------------------------------

ORDERS = {"argsort", "argpartition", "sort_values", "nlargest", "nsmallest", "approx_max_k", "rank"}
"""Methods and functions whose order of equals may be left to the processor; and `np.partition`, `lax.top_k`."""
ALLOWED = {
    ("core/neighbors/hubness.py", "np.partition"): "gives the values of the largest, which are then sorted",
    ("core/learning/sampled/losses.py", "jnp.argsort"): "jax.numpy sorts stably unless told otherwise",
    ("core/reports/accuracy/ranking_kernels.py", "jax.lax.top_k"): "the twin of a kernel, with its rule for equals",
    ("core/dataset/simulator/behaviour.py", "policy.rank"): "a method of ours, which draws",
}


def test_nobody_orders_equals_by_another_rule() -> None:
    """An order of equals that is left to the processor changes lists and digests: sort stably, or use `top_k`."""
    package = Path(recsys_pipeline.__file__).parent
    uses = {
        (path.relative_to(package).as_posix(), name)
        for path in package.rglob("*.py")
        for name in _uncontrolled(path.read_text(encoding="utf-8"))
    }
    assert uses <= ALLOWED.keys(), uses - ALLOWED.keys()


def _uncontrolled(code: str) -> Iterator[str]:
    """Calls in the code that order by values and are not told to be stable."""
    for call in ast.walk(ast.parse(code)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            name, said = ast.unparse(call.func), {ast.unparse(keyword) for keyword in call.keywords}
            orders = call.func.attr in ORDERS or name.endswith(("np.partition", "lax.top_k", "lax.sort"))
            if orders and not said & {"kind='stable'", "stable=True"}:
                yield name


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("np.argsort(x)[::-1]", ["np.argsort"]),
        ("x.argpartition(3)", ["x.argpartition"]),
        ("np.argsort(f(-x)[1], axis=1, kind='stable')", []),
        ("frame.sort_values('a', kind='mergesort')", ["frame.sort_values"]),
        ("text.partition('=') + jax.lax.top_k(x, 2)[0]", ["jax.lax.top_k"]),
    ],
)
def test_the_search_finds_what_it_is_for(code: str, found: list[str]) -> None:
    assert list(_uncontrolled(code)) == found

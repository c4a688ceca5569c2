"""Learning rates over a training, and rows over its epochs."""

import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.learning.neural.epochs import Columns, Epochs
from recsys_pipeline.core.learning.neural.schedules import constant, cosine, warmed_up

N_STEPS = 50


def test_the_cosine_is_that_of_optax() -> None:
    theirs = optax.cosine_decay_schedule(1.0, N_STEPS)
    np.testing.assert_allclose(
        [cosine(step, N_STEPS) for step in range(N_STEPS)], theirs(np.arange(N_STEPS)), atol=1e-6
    )


@pytest.mark.parametrize("then", [constant, cosine])
def test_a_warm_up_grows_to_the_peak_and_then_follows_the_other(then) -> None:
    schedule = warmed_up(0.2, then)
    shares = [schedule(step, N_STEPS) for step in range(N_STEPS)]
    np.testing.assert_allclose(shares[:10], np.arange(1, 11) / 10)
    assert shares[10:] == [then(step, 40) for step in range(40)]
    assert max(shares) == 1.0


@given(n_rows=st.integers(1, 23), batch_size=st.integers(1, 40), first=st.integers(0, 5))
def test_every_epoch_shows_every_row_once_and_a_step_depends_on_its_number_alone(
    n_rows: int, batch_size: int, first: int
) -> None:
    def draw(epoch: int) -> Columns:
        order = np.random.default_rng(epoch).permutation(n_rows)
        return order, np.full(n_rows, epoch)

    epochs = Epochs(n_rows, batch_size, draw)
    steps = [epochs.step(step) for step in range(-(-3 * n_rows // batch_size))]
    assert {len(rows) for rows, _ in steps} == {batch_size}
    rows, epoch = (np.concatenate(columns) for columns in zip(*steps, strict=True))
    for number in range(3):
        assert sorted(rows[epoch == number]) == list(range(n_rows))
    fresh = Epochs(n_rows, batch_size, draw).step(first)
    for one, other in zip(fresh, epochs.step(first), strict=True):
        np.testing.assert_array_equal(one, other)

"""The tie rule: a fixed order of items that no age, name or processor has a say in."""

import numpy as np

from recsys_pipeline.core.ties import tie_hashes, tie_ranks


def test_hashes_are_splitmix64_of_the_item_and_never_meet() -> None:
    # The first output of SplitMix64 from the state 0, which every implementation gives.
    assert int(tie_hashes(np.array([0]))[0]) == 0xE220A8397B1DCDAF
    assert len(np.unique(tie_hashes(np.arange(100_000)))) == 100_000


def test_ranks_are_a_permutation_that_more_items_do_not_reorder() -> None:
    few, many = tie_ranks(50), tie_ranks(5000)
    assert sorted(few.tolist()) == list(range(50))
    assert np.argsort(few).tolist() == np.argsort(many[:50]).tolist()
    assert len(tie_ranks(0)) == 0


def test_old_items_do_not_come_first() -> None:
    ranks = tie_ranks(2000)
    assert abs(np.corrcoef(ranks, np.arange(2000))[0, 1]) < 0.05

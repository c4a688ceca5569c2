"""Bloom filters: never a wrong no, wrong yeses at the stated rate, the same bytes everywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.hashing import id_hashes, mix, pair_keys
from recsys_pipeline.core.speed.bloom import BloomFilter

RATES = st.floats(1e-6, 0.5)
IDS = st.text(max_size=8)


def keys_of(pairs: list[tuple[str, str]]) -> np.ndarray:
    return pair_keys(id_hashes([user for user, _ in pairs]), id_hashes([item for _, item in pairs]))


@given(pairs=st.lists(st.tuples(IDS, IDS), max_size=200), rate=RATES)
def test_every_pair_of_the_set_is_found(pairs: list[tuple[str, str]], rate: float) -> None:
    keys = keys_of(pairs)
    assert BloomFilter.of(keys, rate).has(keys).all()


@given(pairs=st.lists(st.tuples(IDS, IDS), max_size=50), data=st.data())
def test_neither_order_nor_copies_change_the_bytes(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    again = data.draw(st.permutations(pairs + pairs[:3]))
    one, two = (BloomFilter.of(keys_of(each), 0.01) for each in (pairs, again))
    assert one.words.tobytes() == two.words.tobytes()


@pytest.mark.parametrize(("n", "rate"), [(300, 0.02), (20_000, 0.001), (5_000, 0.1)])
def test_strangers_are_found_at_the_stated_rate(n: int, rate: float) -> None:
    """400,000 strangers; the bounds are 5 standard deviations of their binomial count."""
    people, things = id_hashes([f"u{number}" for number in range(n)]), id_hashes([f"i{number}" for number in range(20)])
    found = BloomFilter.of(pair_keys(people, things[np.arange(n) % 10]), rate)
    n_strangers = 400_000
    at = np.arange(n_strangers)
    strangers = pair_keys(mix(at.astype(np.uint64)), things[10 + at % 10])
    wrong, spread = found.has(strangers).sum(), (n_strangers * rate) ** 0.5
    assert n_strangers * rate * 0.85 - 5 * spread < wrong < n_strangers * rate * 1.05 + 5 * spread
    assert found.false_positive_rate == pytest.approx(rate, rel=0.12)


def test_a_filter_takes_the_bits_that_theory_asks_for() -> None:
    found = BloomFilter.of(mix(np.arange(100_000, dtype=np.uint64)), 0.001)
    assert len(found.words) * 64 / 100_000 == pytest.approx(14.38, abs=0.01)
    assert found.n_hashes == 10


def test_an_empty_filter_holds_nothing() -> None:
    found = BloomFilter.of(np.empty(0, np.uint64), 0.001)
    assert not found.has(mix(np.arange(100, dtype=np.uint64))).any()
    assert found.false_positive_rate == 0


def test_hashes_of_ids_are_those_that_the_module_documents() -> None:
    assert hex(int(id_hashes([""])[0])) == "0x" + bytes.fromhex("e4a6a0577479b2b4")[::-1].hex()


def test_a_pair_is_not_its_reverse() -> None:
    keys = keys_of([("a", "b"), ("b", "a"), ("ab", ""), ("", "ab")])
    assert len(set(keys.tolist())) == 4


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(SettingError, match="false_positive_rate"):
        BloomFilter.of(np.empty(0, np.uint64), rate)

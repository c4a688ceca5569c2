"""The gap between a full and a continued fit: paired, honest about what either was trained on."""

import dataclasses
from pathlib import Path

import numpy as np
from hypothesis import given

from recsys_pipeline.core.models import als
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.ranking_report import load_records, save_records
from recsys_pipeline.core.reports.page.page import ReportData, render_page
from recsys_pipeline.core.reports.page.plots import to_png
from recsys_pipeline.core.reports.parity.gaps import Gap, compare_rankings, gap_figure, never_in
from recsys_pipeline.core.reports.parity.section import parity_section
from recsys_pipeline_tests.model_battery import planted_blocks
from recsys_pipeline_tests.strategies import ratings

CONFIG = als.AlsConfig(embedding_size=7, epochs=5)
GAP = Gap("2026-01-11", "als", "ndcg", 10, 0.3, 0.28, 0.02, 0.01, 0.03, 50, 4, 6)


def split(seed: int = 0) -> tuple[Ratings, Ratings]:
    everything = planted_blocks(seed)[0]
    is_test = np.random.default_rng(seed).random(len(everything)) < 0.2
    return everything.take(~is_test), everything.take(is_test)


def test_a_model_is_not_behind_itself() -> None:
    train, test = split()
    model = als.fit(train, CONFIG, seed=0)
    compared = compare_rankings(model, model, train, test, [], seed=0, n_resamples=20)
    assert (compared.difference.value, compared.difference.low, compared.difference.high) == (0, 0, 0)
    assert compared.full == compared.continued > 0.5
    assert compared.left_out == 0


def test_a_worse_model_is_behind_with_its_whole_interval() -> None:
    train, test = split()
    full = als.fit(train, CONFIG, seed=0)
    worse = als.fit(train.take(np.arange(40)), CONFIG, seed=0)
    gap = compare_rankings(full, worse, train, test, [], seed=0, n_resamples=200).of("2026-01-11", "als", 3)
    assert gap.is_beyond(0.05)
    assert not gap.is_beyond(gap.low)
    assert np.isclose(gap.gap, gap.full - gap.continued)
    assert (gap.metric, gap.k, gap.days) == ("ndcg", 10, 3)


def test_rows_that_the_chain_was_trained_on_do_not_hide_a_gap() -> None:
    """A model that was trained on half of the test rows seems better than a full fit, and is not."""
    train, test = split()
    half = np.arange(len(test)) % 2 == 0
    leaked = dataclasses.replace(
        train, **{name: np.concatenate([getattr(train, name), getattr(test.take(half), name)])
                  for name in ("user", "item", "value", "timestamp_us")}
    )  # fmt: skip
    config = dataclasses.replace(CONFIG, embedding_size=23, reg=0.001, gravity=1.0)
    full, knowing = als.fit(train, config, seed=0), als.fit(leaked, config, seed=0)
    naive = compare_rankings(full, knowing, train, test, [], 0, 100)
    honest = compare_rankings(full, knowing, train, test, [train, leaked], 0, 100)
    assert honest.left_out == half.sum()
    assert naive.difference.high < -0.02
    assert honest.difference.value > naive.difference.value + 0.02


@given(rows=ratings(), one=ratings(), other=ratings())
def test_never_in_is_the_difference_of_sets(rows: Ratings, one: Ratings, other: Ratings) -> None:
    n = max(each.n_items for each in (rows, one, other))
    rows = dataclasses.replace(rows, n_items=n)
    known = {pair for each in (one, other) for pair in zip(each.user.tolist(), each.item.tolist(), strict=True)}
    expected = [pair not in known for pair in zip(rows.user.tolist(), rows.item.tolist(), strict=True)]
    assert never_in(rows, [one, other]).tolist() == expected
    assert never_in(rows, []).all()


def test_undefined_gaps_are_not_beyond_anything_and_all_are_stored_and_drawn(tmp_path: Path) -> None:
    undefined = dataclasses.replace(GAP, day="2026-01-18", gap=np.nan, low=np.nan, high=np.nan, n=0)
    assert GAP.is_beyond(0.005)
    assert not undefined.is_beyond(0.0)
    save_records([GAP, undefined], tmp_path / "gaps.parquet")
    assert load_records(Gap, tmp_path / "gaps.parquet")[0] == GAP
    assert to_png(gap_figure([GAP, undefined], 0.005)).startswith(b"\x89PNG")


def test_the_section_tells_the_newest_gap_of_each_model_and_lists_all() -> None:
    later = dataclasses.replace(GAP, day="2026-01-18", gap=0.0012, low=-0.003, high=0.005)
    undefined = dataclasses.replace(GAP, model="stl", metric="same_category_accuracy", k=0, gap=np.nan, low=np.nan)
    section = parity_section([GAP, undefined, later], max_gap=0.005)
    assert "als, continued for 6 days up to 2026-01-18, is +0.0012 (-0.0030 to +0.0050) behind" in section.headline
    assert "which is allowed" in section.headline
    assert "stl, continued for 6 days up to 2026-01-11, could not be compared" in section.headline
    assert "more than is allowed" in parity_section([GAP], max_gap=0.005).headline
    page = render_page(ReportData("shop", "2026-01-18", "0" * 64, (), (section,)))
    assert page.count("undefined") >= 1
    assert "2026-01-11 · als" in page, "every day stands in the table"


def test_before_the_first_full_fit_with_a_model_behind_it_the_section_says_so() -> None:
    section = parity_section([], max_gap=0.005)
    assert "No day yet" in section.headline
    assert [block.kind for block in section.blocks] == ["text"]

"""The off-policy report and its section: with propensities, without, on a first day, and with figures not to trust."""

import dataclasses
import math
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recsys_pipeline.core.dataset.days import write_periods
from recsys_pipeline.core.dataset.events import WEB_LOG
from recsys_pipeline.core.dataset.simulator import SIZES, Simulator
from recsys_pipeline.core.dataset.snapshots import DayEntry, Snapshot, write_snapshot
from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.models.popularity import PopularityConfig
from recsys_pipeline.core.models.random import RandomConfig
from recsys_pipeline.core.reports.off_policy.history import History, day_events, history_before, items_on_offer
from recsys_pipeline.core.reports.off_policy.logged_feedback import logged_feedback
from recsys_pipeline.core.reports.off_policy.report import OffPolicyReport, study_log
from recsys_pipeline.core.reports.off_policy.section import (
    doubts,
    off_policy_headline,
    off_policy_section,
    weight_errors,
)
from recsys_pipeline.core.reports.off_policy.study import OffPolicyConfig
from recsys_pipeline.core.reports.page.page import ReportData, Section, Table, Text, render_page
from recsys_pipeline.core.time import Window

CONFIG = OffPolicyConfig(n_folds=2, n_resamples=5)
CONFIGS = {"popularity": PopularityConfig(), "random": RandomConfig()}
LAST = "2026-01-03"
STORE = TemporaryDirectory()


@cache
def shop() -> Simulator:
    return Simulator(SIZES["tiny"], seed=1)


@cache
def snapshot() -> Snapshot:
    """Three days of the tiny marketplace."""
    root = Path(STORE.name)
    window = Window.of_days(date(2026, 1, 1), date(2026, 1, 3))
    days = write_periods(shop().interactions(window), window, root / "days")
    entries = [DayEntry(str(day.day), f"days/{day.path}", day.digest, day.rows) for day in days]
    (root / "snapshot").mkdir()
    return write_snapshot(root / "snapshot", root, entries)


@cache
def history() -> History:
    return history_before(snapshot(), LAST, CONFIGS, seed=0)


@cache
def report(day: str = LAST, propensities: bool = True) -> OffPolicyReport:
    found = history_before(snapshot(), day, CONFIGS, seed=0)
    events = day_events(snapshot(), day)
    if not propensities:
        column = events.schema.get_field_index("propensity")
        events = events.set_column(column, "propensity", pa.nulls(len(events), pa.float32()))
    feedback = logged_feedback(events, snapshot().user_ids, snapshot().item_ids, WEB_LOG)
    actions = items_on_offer(snapshot(), None, pd.Timestamp(day, tz="UTC"), found.shown)
    return study_log(feedback, found, actions, CONFIG, 0, None, shop().examination)


def words(section: Section) -> str:
    return " ".join(block.text for block in section.blocks if isinstance(block, Text))


def test_history_ends_where_the_day_begins() -> None:
    start = pd.Timestamp(LAST, tz="UTC").value // 1000
    assert history().before.timestamp_us.max() < start <= history().today.timestamp_us.min()
    both = snapshot().ratings()
    assert len(both) <= len(history().before) + len(history().today)
    assert history().shown.sum() == (day_events(snapshot(), LAST).column("event").to_pandas() == "view").sum()
    with pytest.raises(DataError, match="does not hold 2026-02-01"):
        day_events(snapshot(), "2026-02-01")


def test_items_on_offer_were_there_all_day() -> None:
    start = pd.Timestamp(LAST, tz="UTC")
    ids = snapshot().item_ids
    catalogue = pd.DataFrame(
        {
            "item_id": [ids[0], ids[1], ids[2], ids[3], "never seen"],
            "available": [True, False, True, True, True],
            "created_at": [start - pd.Timedelta(days=1), None, start, None, None],
        }
    )
    assert items_on_offer(snapshot(), catalogue, start, history().shown).tolist() == [0, 3]
    shown = np.array([0, 2, 0, 1])
    assert items_on_offer(snapshot(), None, start, shown).tolist() == [1, 3]


def test_the_report_survives_its_files(tmp_path: Path) -> None:
    report().save(tmp_path)
    again = OffPolicyReport.load(tmp_path)
    assert again.headline_figures == report().headline_figures
    np.testing.assert_equal(dataclasses.asdict(again), dataclasses.asdict(report()))


def test_every_policy_is_judged_by_every_estimator() -> None:
    policies = {row.policy for row in report().estimates}
    assert policies == {"as logged", "uniform", "popularity", "random softmax", "random greedy"}
    assert report().positions[1].truth == pytest.approx(2**-0.7)
    assert {row.metric for row in report().weighted} == {"recall", "ndcg", "weighted recall", "weighted ndcg"}
    assert 0.3 < report().power_law.exponent < 1.5


def test_popularity_looks_worse_once_popular_items_count_less() -> None:
    figures = {(row.model, row.metric): row.value for row in report().weighted if row.k == 10}
    assert figures["popularity", "weighted recall"] < figures["popularity", "recall"]


def test_the_section_renders_and_says_what_it_found() -> None:
    section = off_policy_section(report())
    assert "of 100 requests would be clicked" in section.headline
    assert "truth" not in section.headline
    page = render_page(ReportData("shop", LAST, "0" * 64, (), (section,)))
    assert "doubly robust" in page
    assert "Attention by place" in page


def test_where_the_truth_is_known_it_is_shown_beside_the_paradox() -> None:
    known = [
        row
        if row.policy == "as logged"
        else dataclasses.replace(row, truth=row.value if "robust" in row.estimator else 9.0)
        for row in report().estimates
    ]
    section = off_policy_section(dataclasses.replace(report(), estimates=known))
    assert "4 of 4 intervals hold it" in section.headline
    assert "misses it for 4 of 4" in section.headline
    captions = [block.caption for block in section.blocks if isinstance(block, Table)]
    assert any("Simpson" in caption for caption in captions)


def test_a_log_without_propensities_says_so_and_gives_what_it_can(tmp_path: Path) -> None:
    found = report(propensities=False)
    assert found.estimates == []
    assert found.n_unlogged > 1000
    section = off_policy_section(found)
    assert "logs no propensities" in section.headline
    assert "Log request_id, position and propensity" in words(section)
    assert any(isinstance(block, Table) for block in section.blocks)
    found.save(tmp_path)
    assert OffPolicyReport.load(tmp_path).estimates == []


def test_a_source_of_ratings_alone_is_told_what_to_log() -> None:
    events = day_events(snapshot(), LAST)
    blank = {
        name: pa.nulls(len(events), events.schema.field(name).type) for name in ("request_id", "position", "propensity")
    }
    for name, column in blank.items():
        events = events.set_column(events.schema.get_field_index(name), name, column)
    ratings = events.filter(pc.field("event") == "rating")
    feedback = logged_feedback(ratings, snapshot().user_ids, snapshot().item_ids, WEB_LOG)
    found = study_log(feedback, history(), np.arange(3, dtype=np.int32), CONFIG, 0)
    assert found.n_unlogged == 0
    assert "has no impressions with" in words(off_policy_section(found))
    assert {row.model for row in found.weighted} == {"popularity", "random"}


def test_a_first_day_has_no_history_and_still_a_report() -> None:
    with pytest.warns(UserWarning, match="no power law"):
        found = report("2026-01-01")
    assert {row.policy for row in found.estimates} == {"as logged", "uniform"}
    assert found.weighted == []
    assert math.isnan(found.power_law.exponent)
    assert "no earlier popularity" in words(off_policy_section(found))


def test_doubtful_figures_are_named() -> None:
    rows = [row for row in report().estimates if row.policy == "uniform"]
    assert doubts(rows) == []
    few = [dataclasses.replace(row, effective_n=12.0) for row in rows]
    assert "only 12 effective requests" in doubts(few)[0]
    logged = next(row for row in report().estimates if row.policy == "as logged")
    assert "rests on only 12 effective requests" in off_policy_headline(few, logged)
    wrong = [dataclasses.replace(row, mean_weight=2.0) for row in rows]
    assert "do not average to 1" in doubts(wrong)[0]
    assert weight_errors(dataclasses.replace(rows[0], effective_n=0.0)) == math.inf

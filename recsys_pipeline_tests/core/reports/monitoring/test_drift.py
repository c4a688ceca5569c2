"""Which differences are breaches, and what becomes of features that are missing, new, empty or of another type."""

import math
from pathlib import Path

import numpy as np
import pytest

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.reports.monitoring.drift import Drift, DriftLimits, DriftReport, breach_summary, drift_report
from recsys_pipeline.core.reports.monitoring.drift_section import drift_headline, drift_section, worst_plot
from recsys_pipeline.core.reports.monitoring.priors import EMPTY_LISTS, Distribution, Profile, Share
from recsys_pipeline.core.reports.page.page import Plots, ReportData, Table, render_page
from recsys_pipeline_tests.core.reports.monitoring.test_divergence import sample

LIMITS = DriftLimits()


def prices(n: int, factor: float = 1.0, seed: int = 0) -> Profile:
    values = factor * np.random.default_rng(seed).lognormal(4, 0.5, n)
    return Profile({"price": sample(values)})


def share(count: int, total: int) -> Profile:
    return Profile(shares={"cold_users": Share(count, total)})


def only(report: DriftReport) -> Drift:
    (row,) = report.rows
    return row


@pytest.mark.parametrize(
    ("n", "factor", "breached"),
    [(2000, 1.0, False), (2000, 1.1, False), (2000, 1.5, True), (15, 1.5, False), (15, 20.0, True)],
    ids=["equal", "sure but slight", "sure and large", "large but not sure", "huge"],
)
def test_a_breach_is_more_than_chance_and_more_than_a_little(n: int, factor: float, breached: bool) -> None:
    row = only(drift_report(prices(n), prices(n, factor, seed=1), LIMITS))
    assert row.breached == breached, row
    assert row.breached == (row.value > row.threshold)
    assert row.threshold >= LIMITS.psi_limit + row.by_chance


def test_figures_of_a_share_by_hand() -> None:
    """4% become 22% of 10,000: smoothing aside, PSI is .18 ln(.22/.04) − .18 ln(.78/.96)."""
    row = only(drift_report(share(400, 10_000), share(2_200, 10_000), LIMITS))
    assert row.value == pytest.approx(0.18 * math.log(0.22 / 0.04) + 0.18 * math.log(0.96 / 0.78), abs=1e-3)
    assert (row.breached, row.change) == (True, "4.0% → 22.0%")
    assert not only(drift_report(share(400, 10_000), share(600, 10_000), LIMITS)).breached
    assert only(drift_report(share(0, 50), share(0, 60), LIMITS)).change == "0.0% → 0.0%"


def test_a_category_that_vanishes() -> None:
    before = Profile({"category": sample(["sofa"] * 300 + ["lamp"] * 500 + ["rug"] * 400)})
    now = Profile({"category": sample(["lamp"] * 700 + ["rug"] * 500)})
    row = only(drift_report(before, now, LIMITS))
    assert (row.breached, row.change) == (True, "sofa 25.0% → 0.0%")


def test_looser_limits_let_more_pass() -> None:
    before, now = prices(2000), prices(2000, 1.5, seed=1)
    assert not drift_report(before, now, DriftLimits(psi_limit=3.0)).breaches
    with pytest.raises(SettingError, match=r"DriftLimits\.false_alarm_rate must be above 0"):
        DriftLimits(false_alarm_rate=0.0)


def empty_lists(count: int, total: int) -> Profile:
    return Profile(shares={EMPTY_LISTS: Share(count, total)})


@pytest.mark.parametrize(("count", "breached"), [(0, False), (12, False), (60, True)])
def test_empty_lists_have_a_limit_without_any_reference(count: int, breached: bool) -> None:
    report = drift_report(None, empty_lists(count, 1000) | prices(50), LIMITS)
    assert report.reference == ""
    assert only(report).feature == EMPTY_LISTS
    assert bool(report.breaches) == breached


def test_the_first_day_says_that_nothing_is_compared() -> None:
    report = drift_report(None, prices(50), LIMITS)
    assert (report.rows, report.bins) == ([], [])
    assert "no earlier profile" in drift_headline(report)
    assert worst_plot(report, "2026-01-01") is None
    assert "stored as the next reference" in render(report)


EMPTY = Profile({"price": sample(np.empty(0))})
LABELS = Profile({"price": sample(["cheap", "dear"])})


@pytest.mark.parametrize(
    ("before", "now", "breached", "words"),
    [
        (prices(50), Profile(absent={"price": "no item has a price"}), True, "no values any more"),
        (prices(50), EMPTY, True, "no values any more"),
        (Profile(), prices(50), False, "nothing to compare with"),
        (EMPTY, prices(50), False, "nothing to compare with"),
        (EMPTY, EMPTY, False, "nothing to compare with"),
        (prices(50), LABELS, True, "numbers became labels, or labels numbers"),
    ],
    ids=["gone", "emptied", "new", "filled", "never there", "another type"],
)
def test_what_cannot_be_compared_is_undefined_and_said(
    before: Profile, now: Profile, breached: bool, words: str
) -> None:
    with pytest.warns(UserWarning, match="drift of price is not defined"):
        row = only(drift_report(before, now, LIMITS))
    assert math.isnan(row.value)
    assert (row.breached, row.change) == (breached, words)


def test_one_row_proves_nothing() -> None:
    row = only(drift_report(prices(1), prices(1, 100.0), LIMITS))
    assert math.isfinite(row.value)
    assert not row.breached


def test_nobody_to_make_a_list_for_is_undefined() -> None:
    with pytest.warns(UserWarning, match="nobody to make a list for"):
        row = only(drift_report(None, empty_lists(0, 0), LIMITS))
    assert math.isnan(row.value)
    assert not row.breached


def both() -> DriftReport:
    before = prices(500) | share(20, 500) | Profile({"gone": sample([1.0, 2.0])})
    with pytest.warns(UserWarning, match="gone"):
        return drift_report(before, prices(500, 3.0, 1) | share(25, 500), LIMITS, "2026-01-05")


def test_a_report_comes_back_from_its_files_worst_first(tmp_path: Path) -> None:
    report = both()
    report.save(tmp_path)
    again = DriftReport.load(tmp_path)
    assert [row.feature for row in again.rows] == ["gone", "price", "cold_users"]
    assert repr(again) == repr(report)
    empty = drift_report(None, Profile(), LIMITS)
    empty.save(tmp_path)
    assert DriftReport.load(tmp_path) == empty


def test_shares_of_the_bins_add_up() -> None:
    bins = [row for row in both().bins if row.feature == "price"]
    assert sum(row.reference for row in bins) == pytest.approx(1)
    assert sum(row.now for row in bins) == pytest.approx(1)


def render(report: DriftReport) -> str:
    return render_page(ReportData("shop", "2026-01-06", "0" * 64, (), (drift_section(report, "2026-01-06"),)))


def test_the_section_says_in_words_what_drifted() -> None:
    report = both()
    section = drift_section(report, "2026-01-06")
    assert section.headline.startswith(
        "Drift against 2026-01-05 in 2 of 3 compared features: gone (no values any more)"
    )
    assert "price (median 5" in section.headline
    plots = [block for block in section.blocks if isinstance(block, Plots)]
    assert [plot.title.split(":")[0] for block in plots for plot in block.plots] == ["Price"]
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    assert [row[0].text for row in table.rows] == ["gone", "price", "cold users"]
    assert [row[2].tone for row in table.rows] == ["bad", "bad", ""]
    page = render(report)
    assert "PSI" in page
    assert "Gone since then: gone" in page


def test_a_quiet_day_is_one_sentence() -> None:
    report = drift_report(prices(500), prices(500, seed=1), LIMITS, "2026-01-05")
    assert drift_headline(report) == "No drift against 2026-01-05: all 1 compared features are within their thresholds."
    assert breach_summary(report.breaches) == ""


def test_an_alert_names_change_and_figures() -> None:
    text = breach_summary(both().breaches)
    assert "gone: no values any more (undefined)" in text
    assert "threshold" in text.split("; ")[1]


def test_absent_distributions_are_shown() -> None:
    now = prices(500) | Profile(absent={"catalogue_price": "no item on offer has a price"})
    assert "catalogue price (no item on offer has a price)" in render(drift_report(prices(500), now, LIMITS, "x"))


def test_values_need_units() -> None:
    with pytest.raises(Exception, match="unit"):
        Distribution(np.zeros(3), np.zeros(2, np.int64), 3)


def model(score: float, settings: dict[str, int] | None = None, spread: float = 1.0) -> Profile:
    """What a model gives 300 users, and prices that do not hang on it."""
    rng = np.random.default_rng(0)
    scores = score + spread * rng.normal(size=300)
    return Profile({"score": sample(scores), "price": sample(rng.lognormal(4, 0.5, 300))}, settings=settings or {})


def test_figures_of_a_model_with_other_settings_are_shown_and_never_a_breach(tmp_path: Path) -> None:
    before, now = model(10.0), model(30.0)
    assert {row.feature for row in drift_report(before, now, LIMITS).breaches} == {"score"}
    report = drift_report(before, now, LIMITS, "Monday", same_settings=False)
    assert report.breaches == []
    (row,) = report.not_compared
    assert (row.feature, row.change) == ("score", "median 9.923 → 29.92")
    assert report.rows[-1] == row, "what was compared comes first"
    assert "1 figures of the model: other settings, not compared" in drift_headline(report)
    table = next(block for block in drift_section(report, "today").blocks if isinstance(block, Table))
    assert table.rows[-1][0].detail == "other settings, not compared"
    report.save(tmp_path)
    assert DriftReport.load(tmp_path).not_compared == [row]


def test_data_count_whatever_the_settings() -> None:
    dear = {"price": sample(3 * model(1.0).distributions["price"].values)}
    report = drift_report(model(1.0), Profile({**model(9.0).distributions, **dear}), LIMITS, same_settings=False)
    assert [row.feature for row in report.breaches] == ["price"]


def test_a_profile_says_whose_figures_it_has(tmp_path: Path) -> None:
    one, same, other = model(1.0, {"size": 8}), model(2.0, {"size": 8}), model(1.0, {"size": 9})
    assert one.has_settings_of(same)
    assert not one.has_settings_of(other)
    assert not model(1.0).has_settings_of(model(1.0)), "an earlier version did not write them down"
    (one | Profile()).save(tmp_path)
    assert Profile.load(tmp_path).has_settings_of(one)


@pytest.mark.parametrize(("now", "breached"), [(10.05, False), (14.0, True)])
def test_scores_that_lie_close_together_must_have_moved_by_a_share_of_their_size(now: float, breached: bool) -> None:
    row = next(
        row for row in drift_report(model(10.0, spread=0.01), model(now, spread=0.01), LIMITS).rows if row.kl > 0
    )
    assert row.feature == "score"
    assert row.value > row.threshold
    assert row.breached == breached

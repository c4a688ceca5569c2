"""The section of the daily page on whether the probabilities of a sale can be believed."""

from collections.abc import Sequence

from recsys_pipeline.core.reports.calibration.reliability import CalibrationSummary, ReliabilityBin
from recsys_pipeline.core.reports.lists.list_plots import reliability_plot
from recsys_pipeline.core.reports.lists.list_report import SHOWN_K
from recsys_pipeline.core.reports.lists.variety_section import percent
from recsys_pipeline.core.reports.page.page import Cell, Plot, Plots, Section, Table, Text


def calibration_section(
    summaries: Sequence[CalibrationSummary], bins: Sequence[ReliabilityBin], best: str, k: int = SHOWN_K
) -> Section:
    """Whether the chance that an offer is taken, as read off its score, can be believed."""
    note = (
        f"Scores of the first {k} places are turned into chances by a curve with two settings (Platt), fitted on half "
        "of the users and judged on the other half, both ways. Error: how far a chance is off, on average. By chance: "
        "what perfect chances would show on so few offers; an error above its upper end is real."
    )
    if not summaries:
        return Section("calibration", "Calibration", (Text(note), Text("Too few hits to judge any model.")))
    rows = sorted(summaries, key=lambda row: row.model != best)
    table = Table(
        ("model", "error", "by chance", "taken"),
        tuple(_calibration_row(row) for row in rows),
        "Percentage points; taken: share of offers that users went on to choose.",
    )
    own = [row for row in bins if row.model == rows[0].model]
    plot = Plot(
        f"{rows[0].model}: promised against taken",
        reliability_plot(own),
        "; ".join(f"promised {percent(row.predicted)}, taken {percent(row.observed)} of {row.n:,}" for row in own),
        "Each dot is a tenth of the offers. The offers of one user are not independent: true intervals are wider.",
    )
    return Section("calibration", "Calibration", (Text(note), table, Plots((plot,))), _calibration_headline(rows[0]))


def _calibration_row(row: CalibrationSummary) -> tuple[Cell, ...]:
    chance = Cell(_points(row.ece_null), f"up to {_points(row.ece_null_high)}")
    tone = "good" if row.is_calibrated else "bad"
    name = Cell(row.model, f"{row.n:,} offers")
    return name, Cell(_points(row.ece), tone=tone), chance, Cell(percent(row.outcome_share))


def _calibration_headline(row: CalibrationSummary) -> str:
    verdict = "is no more than chance" if row.is_calibrated else "is more than chance"
    return (
        f"Chances that {row.model} gives to its offers are off by {_points(row.ece)} percentage points on average, "
        f"which {verdict} (up to {_points(row.ece_null_high)} on {row.n:,} offers, of which "
        f"{percent(row.outcome_share)} were taken)."
    )


def _points(share: float) -> str:
    return f"{100 * share:.2f}"

"""The sections of the daily page that go beyond accuracy, from a stored list report."""

from recsys_pipeline.core.reports.calibration_section import calibration_section
from recsys_pipeline.core.reports.list_report import ListReport
from recsys_pipeline.core.reports.page import Section
from recsys_pipeline.core.reports.slices_section import slices_section
from recsys_pipeline.core.reports.variety_section import variety_section


def list_sections(report: ListReport, best: str) -> list[Section]:
    """The three sections of a stored report, for the daily page."""
    return [
        slices_section(report.slices, best),
        variety_section(report.variety, best, report.matthew),
        calibration_section(report.calibration, report.reliability, best),
    ]

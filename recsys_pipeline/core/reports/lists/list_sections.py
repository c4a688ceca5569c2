"""The sections of the daily page that go beyond accuracy, from a stored list report."""

from recsys_pipeline.core.reports.calibration.calibration_section import calibration_section
from recsys_pipeline.core.reports.lists.list_report import ListReport
from recsys_pipeline.core.reports.lists.slices_section import slices_section
from recsys_pipeline.core.reports.lists.variety_section import variety_section
from recsys_pipeline.core.reports.page.page import Section


def list_sections(report: ListReport, best: str) -> list[Section]:
    """The three sections of a stored report, for the daily page."""
    return [
        slices_section(report.slices, best),
        variety_section(report.variety, best, report.matthew),
        calibration_section(report.calibration, report.reliability, best),
    ]

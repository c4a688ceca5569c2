"""What the doctor finds in the rows of a source, and in the history that was taken in of it."""

from collections.abc import Iterator

from recsys_pipeline.adapters.intake.missing_history import MissingFile
from recsys_pipeline.adapters.intake.source_history import doubts_of
from recsys_pipeline.adapters.sources import open_source
from recsys_pipeline.commands.diagnosis.findings import Finding
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.errors import RecsysError
from recsys_pipeline.settings import Settings


def check_rows(source: Source) -> Iterator[Finding]:
    """What a run would put aside, leave out or refuse."""
    for doubt in doubts_of(source):
        remedy = "mend the source, or say in its TOML how it is meant: see docs/data.md"
        yield Finding("rows", "wrong" if doubt.is_wrong else "warning", doubt.what, remedy)


def check_history(deployment: Settings) -> Iterator[Finding]:
    """Days that the newest batch could not take in."""
    try:
        found = MissingFile(deployment.home, open_source(deployment).name).read()
    except RecsysError:
        return  # the finding on the source says so
    if found is not None:
        remedy = "mend those days, and run the newest day again: it takes them in"
        yield Finding("history", "wrong" if found.unread else "warning", found.told(), remedy)

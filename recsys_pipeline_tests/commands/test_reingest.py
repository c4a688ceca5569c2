"""`recsys reingest` reads closed days again, and says where the source cannot give them."""

from dataclasses import replace
from pathlib import Path

from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline_tests.deployment import Deployment, failure
from recsys_pipeline_tests.misbehaving_sources import Misbehaving

FIRST, LAST = "2026-01-01", "2026-01-02"


class Revalued(Misbehaving):
    """Its times are read otherwise now."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.meaning = replace(source.meaning, reading={**source.meaning.reading, "time_unit": "ms"})


def test_closed_days_of_another_meaning_are_refused_and_read_again(tmp_path: Path) -> None:
    before = Deployment(tmp_path)
    keys = ("dataset/interactions", "dataset/snapshot")
    assert before.materialize(*keys, day=LAST).success
    after = Deployment(tmp_path, wrap=Revalued)
    assert "time_unit was absent and is 'ms' now" in failure(after.materialize(*keys, day="2026-01-03"))
    bad = after.recsys("reingest", f"{LAST}..{FIRST}")
    assert (bad.code, "ends before it begins" in bad.text) == (1, True)
    found = after.recsys("reingest", f"{FIRST}..{LAST}")
    assert found.code == 0, found.text
    assert f"2 days of simulator-tiny are read again, from {FIRST} to {LAST}" in found.text
    assert after.materialize(*keys, day="2026-01-03").success

"""Days of a lineage that are alike stand as one run."""

from recsys_pipeline.adapters.lineage.makings import Making
from recsys_pipeline.commands.showing.lineage_runs import counted, in_runs, span
from recsys_pipeline.core.keys import ArtifactRef

DAYS = [f"2026-01-{day:02d}" for day in (3, 1, 2, 5)]


def day(partition: str, key: str = "dataset/interactions") -> Making:
    return Making(ArtifactRef(key, partition, partition * 6), "version")


def test_days_of_one_key_that_are_alike_are_a_run_in_order() -> None:
    other = day("2026-01-02", "dataset/items")
    found = in_runs([day(DAYS[0]), other, *map(day, DAYS[1:])], lambda making: making.ref.partition > "2026-01-04")
    assert [[making.ref.partition for making in run] for run in found] == [
        ["2026-01-01", "2026-01-02", "2026-01-03"],
        ["2026-01-02"],
        ["2026-01-05"],
    ]
    assert (span(found[0]), counted(found[0])) == ("2026-01-01..2026-01-03", "3 days")


def test_two_days_are_no_run_and_neither_are_three_versions_of_one() -> None:
    assert len(in_runs([day(DAYS[0]), day(DAYS[1])], lambda _: None)) == 2
    versions = [Making(day(DAYS[0]).ref, name) for name in "abc"]
    assert in_runs(versions, lambda _: None) == [[version] for version in versions]


def test_hours_are_counted_as_hours() -> None:
    (run,) = in_runs([day(f"2026-01-05-{hour:02d}:00", "speed/interactions") for hour in range(24)], lambda _: None)
    assert counted(run) == "24 hours"

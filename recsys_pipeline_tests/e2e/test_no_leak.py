"""Nothing that is computed for a day may depend on what happens at or after its end."""

import dataclasses

import pyarrow.parquet as pq

from recsys_pipeline_tests.deployment import DAY, NEXT_DAY, Deployment
from recsys_pipeline_tests.misbehaving_sources import Prophetic, PropheticAgain


def test_events_of_the_future_change_no_artifact_of_the_day(first_day: Deployment, deployment: Deployment) -> None:
    told = dataclasses.replace(deployment, wrap=Prophetic)
    assert told.materialize("dataset/interactions", day=NEXT_DAY).success
    tomorrow = pq.read_table(told.artifacts(NEXT_DAY)["dataset/interactions"].path / "interactions.parquet")
    assert "intruder" in tomorrow["user_id"].to_pylist(), "the planted events are in the store, one day later"

    # The day is now read once more, with the two before it, for late rows: the planted events lie outside them.
    told = dataclasses.replace(told, wrap=PropheticAgain)
    outcome = told.batch(DAY)
    assert outcome.code == 0, outcome.text
    today, expected = told.artifacts(DAY), first_day.artifacts(DAY)
    read = [told.artifacts(day)["dataset/interactions"].path for day in ("2026-01-10", "2026-01-11", DAY)]
    quarantine = [row for path in read for row in pq.read_table(path / "quarantine.parquet").to_pylist()]
    assert len(quarantine) == len(Prophetic.extra)
    assert all("is in the future" in row["reason"] for row in quarantine)

    changed = {key for key in expected if today[key].manifest.digest != expected[key].manifest.digest}
    # The page shows measured speeds; the catalogue's quarantine file holds the planted item.
    assert changed <= {"dataset/items", "reports/daily"}
    items, honest = (each["dataset/items"].manifest.files["items.parquet"] for each in (today, expected))
    assert items == honest
    page = (today["reports/daily"].path / "index.html").read_text()
    assert "intruder" not in page
    assert "novelty" not in page

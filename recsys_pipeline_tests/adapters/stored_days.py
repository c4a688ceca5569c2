"""A store with days as the batch makes them, with nothing in them that takes time to make."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from recsys_pipeline.adapters.serving.releases import promote_if_newer
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.core.dataset.snapshots import SNAPSHOT_NAME
from recsys_pipeline_tests.adapters.release_artifacts import decided, recipe, released

LATER = datetime.now(UTC) + timedelta(days=3)
"""By then nothing that a test makes is fresh."""
FIRST = date(2026, 1, 1)


def day_name(number: int) -> str:
    return (FIRST + timedelta(days=number)).isoformat()


def made(store: ArtifactStore, key: str, day: str, *inputs: Artifact, text: str = "") -> Artifact:
    def build(directory: Path) -> Built:
        (directory / "data.txt").write_text(f"{key} {day} {text}")
        return Built({})

    return store.build(recipe(key, day, tuple(one.manifest.ref for one in inputs), text=text), build)


def snapshot(store: ArtifactStore, day: str, events: list[Artifact], earlier: Artifact | None) -> Artifact:
    """Lists day files of all days, and the folders of earlier snapshots for their ids, as the real one does."""
    folders = []
    if earlier is not None:
        own = earlier.path.relative_to(store.local_root).as_posix()
        folders = [*json.loads((earlier.path / SNAPSHOT_NAME).read_text())["earlier_id_folders"], own]

    def build(directory: Path) -> Built:
        files = [one.path.relative_to(store.local_root).as_posix() + "/data.txt" for one in events]
        days = [{"day": one.manifest.recipe.partition, "path": file, "digest": "", "rows": 1}
                for one, file in zip(events, files, strict=True)]  # fmt: skip
        document = {"days": days, "earlier_id_folders": folders, "id_digests": {}, "n_users": 0, "n_items": 0}
        (directory / SNAPSHOT_NAME).write_text(json.dumps(document))
        for subject in ("users", "items"):
            (directory / f"{subject}.parquet").write_text(day)
        return Built({})

    before = (earlier.manifest.ref,) if earlier else ()
    return store.build(recipe("dataset/snapshot", day, (events[-1].manifest.ref, *before)), build)


def history_of(store: ArtifactStore, n_days: int, rejected: set[int], redone: set[int]) -> None:
    """A chain of days as the batch makes it; `redone` days of events have an older version that snapshots list."""
    events: list[Artifact] = []
    earlier, report = None, None
    for number in range(n_days):
        day = day_name(number)
        events.append(made(store, "dataset/interactions", day))
        if number in redone:
            snapshot(store, day, events, earlier)
            events[-1] = made(store, "dataset/interactions", day, text="late")
        earlier = snapshot(store, day, events, earlier)
        model = made(store, "models/als", day, earlier)
        report = made(store, "reports/ranking", day, model, *([report] if report else []))
        made(store, "reports/daily", day, report)
        release = released(store, day, inputs=(model.manifest.ref, earlier.manifest.ref))
        promote_if_newer(store, release, decided(store, release, good=number not in rejected))

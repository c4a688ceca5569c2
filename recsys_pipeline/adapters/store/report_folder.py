"""The folder that people open: every day's page beside an index of all days, plain files that can be served as is."""

import math
from pathlib import Path

from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.adapters.store.durable_files import replace_file
from recsys_pipeline.core.reports.page.day_index import DayEntry, render_index

PAGE, INDEX = "index.html", "index.html"
NEWEST = 400
"""Days that the index lists; older pages stay in the folder."""


def publish_page(store: ArtifactStore, artifact: Artifact, folder: Path, dataset: str) -> Path:
    """Copy a day's page into `folder` as `<day>.html`, write the index anew, and give the index's path.

    Reads the manifest of each day that it lists. Files appear whole or not at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key, own = artifact.manifest.recipe.key, artifact.manifest.recipe.partition
    replace_file(folder / f"{own}.html", (artifact.path / PAGE).read_bytes())
    days = [day for day in store.partitions(key) if (folder / f"{day}.html").exists()][-NEWEST:]
    entries = [_entry(artifact if day == own else store.get(key, day)) for day in days]
    replace_file(folder / INDEX, render_index(dataset, entries).encode())
    return folder / INDEX


def beside(day: str, suffix: str) -> str:
    """The name of another page of a day in the folder, which is the address by which the day's page links to it."""
    return f"{day}-{suffix}.html"


def publish_text(text: str, folder: Path, day: str, suffix: str) -> Path:
    """Put a page of a day that no artifact holds into `folder`, whole or not at all, and give its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / beside(day, suffix)
    replace_file(path, text.encode())
    return path


def publish_beside(artifact: Artifact, file: str, folder: Path, suffix: str) -> Path:
    """Copy another page of a day into `folder`, whole or not at all, and give its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / beside(artifact.manifest.recipe.partition, suffix)
    replace_file(path, (artifact.path / file).read_bytes())
    return path


def _entry(artifact: Artifact) -> DayEntry:
    metrics, day = artifact.manifest.metrics, artifact.manifest.recipe.partition
    value, low, high = (float(metrics.get(name, math.nan)) for name in ("value", "low", "high"))
    return DayEntry(
        day=day,
        file=f"{day}.html",
        best=metrics.get("best", ""),
        metric=metrics.get("metric", ""),
        value=value,
        low=low,
        high=high,
        n=metrics.get("users", 0),
        drifted=tuple(metrics.get("drifted", ())),
    )

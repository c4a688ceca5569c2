"""Which release an hour stands on, and which overlay is served with a release."""

from datetime import datetime

from recsys_pipeline.adapters.serving.releases import RELEASE, champion, history, released
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.core.errors import ArtifactError, SettingError
from recsys_pipeline.core.time import HOUR, HOUR_KEY, Window

KEY = "speed/overlay"


def release_under(store: ArtifactStore, hour: Window) -> Artifact:
    """The newest promoted release, not withdrawn, whose day had ended when the hour began.

    For the hour that has just passed this is the champion; for an earlier one, that of its time, so that an hour that
    is computed again or backfilled gives what it gave. Raises `ArtifactError` where there is none.
    """
    found = _standing(store, hour)
    if found is None:
        raise ArtifactError(
            f"no release of a day before {hour.start.date()} has been promoted, and an overlay stands on one: run "
            "batch_daily for an earlier day first"
        )
    return found


def release_of(store: ArtifactStore, overlay: Artifact) -> Artifact:
    """The release that an overlay stands on, whatever was promoted since; raises `ArtifactError` where it is gone."""
    below = next(ref for ref in overlay.manifest.recipe.inputs if ref.key == RELEASE)
    for move in reversed(history(store)):
        if (move.day, move.digest) == (below.partition, below.digest):
            return released(store, move)
    made = overlay.manifest.recipe
    raise ArtifactError(
        f"{made.key}@{made.partition} stands on {below.key}@{below.partition} {below.digest[:12]}, which "
        "serving/champion.json does not know: materialize the overlay again"
    )


def hours_since(store: ArtifactStore, hour: Window, most_hours: int) -> datetime:
    """From when on the hours up to this one are wanted: the end of its release; this hour alone before the first.

    Raises `SettingError` for an hour that ends more than `most_hours` after its release: an overlay holds all of them,
    and one of an archive's last hour over a champion of years before would be tens of thousands of partitions.
    """
    found = _standing(store, hour)
    if found is None:
        return hour.start
    day = found.manifest.recipe.partition
    if hour.start >= reach(day, most_hours):
        raise SettingError(
            f"{hour.start:{HOUR_KEY}} is {(hour.end - Window.of_partition(day).end) // HOUR:,} hours after the release "
            f"of {day} on which it would stand, and an overlay holds {most_hours} at most (RECSYS_OVERLAY_HOURS): run "
            "batch_daily for a later day, or take an hour nearer to it"
        )
    return Window.of_partition(day).end


def reach(day: str, most_hours: int) -> datetime:
    """The first hour that no overlay over the release of a day holds."""
    return Window.of_partition(day).end + most_hours * HOUR


def _standing(store: ArtifactStore, hour: Window) -> Artifact | None:
    return champion(store, before=hour.start.date().isoformat())


def newest_overlay(store: ArtifactStore, release: Artifact) -> Artifact | None:
    """The overlay of the latest hour that stands on this release: what serving reads beside it. None before the first.

    Overlays of other releases are passed over, however new: after a promotion they are irrelevant, and the first
    overlay over the new champion holds everything since that champion's end.
    """
    end = Window.of_partition(release.manifest.recipe.partition).end.strftime(HOUR_KEY)
    for hour in reversed(store.partitions(KEY)):
        if hour < end:
            return None
        overlay = store.get(KEY, hour)
        if release.manifest.ref in overlay.manifest.recipe.inputs:
            return overlay
    return None

"""How old what is served is: by the champion's day and the overlay's hour, never by when an asset was last touched.

Dagster's `FreshnessPolicy` looks at the newest event of any partition, so that running an old day again makes a release
look fresh. These are asset checks instead: judged in the run, and by a sensor as time passes.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from recsys_pipeline.adapters.serving.overlays import KEY as OVERLAY
from recsys_pipeline.adapters.serving.overlays import newest_overlay
from recsys_pipeline.adapters.serving.releases import champion
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.core.time import Window
from recsys_pipeline.defs.archives import newest_moment
from recsys_pipeline.defs.resources import SourceResource, StoreResource

CHAMPION = "serving/champion"
CHECK_EVERY_S = 300
DAYS_LATE = timedelta(hours=30), timedelta(hours=36)
"""From when on a champion is late, and very late: a day, 3¼ hours until its batch starts, and what that may take."""
HOURS_LATE = timedelta(minutes=100), timedelta(hours=3)
"""The same of an overlay: an hour, five minutes, and what a run may take; three hours without one are an outage."""


@dataclass(frozen=True)
class Freshness:
    """What something served knows, and whether that is late."""

    partition: str
    """The champion's day, or the overlay's hour."""
    knows_until: datetime
    age: timedelta
    late: tuple[timedelta, timedelta]

    @property
    def is_fresh(self) -> bool:
        """Whether nothing is late."""
        return self.age <= self.late[0]

    @property
    def severity(self) -> dg.AssetCheckSeverity:
        """How bad it is, where it is late."""
        return dg.AssetCheckSeverity.ERROR if self.age > self.late[1] else dg.AssetCheckSeverity.WARN

    @property
    def words(self) -> str:
        """For people."""
        said = f"{self.partition}: knows events until {self.knows_until:%F %R} UTC, {spoken(self.age)} ago"
        return said if self.is_fresh else f"{said}; late from {spoken(self.late[0])} on"

    @property
    def result(self) -> dict[str, object]:
        """The fields of a check's result."""
        facts = {"in words": self.words, "partition": self.partition, "hours": self.age.total_seconds() / 3600}
        return {"passed": self.is_fresh, "severity": self.severity, "metadata": facts, "description": self.words}


def champion_freshness(store: ArtifactStore, now: datetime) -> Freshness | None:
    """Of the release that is served; None where none is. `now` is the last moment of which anything can be known."""
    served = champion(store)
    return None if served is None else _of(served.manifest.recipe.partition, now, DAYS_LATE)


def overlay_freshness(store: ArtifactStore, now: datetime) -> Freshness | None:
    """Of the overlay over the champion, or of the champion where it has none yet; None where none was ever made."""
    served = champion(store)
    if served is None or not store.partitions(OVERLAY):
        return None
    return _of((newest_overlay(store, served) or served).manifest.recipe.partition, now, HOURS_LATE)


def _of(partition: str, now: datetime, late: tuple[timedelta, timedelta]) -> Freshness:
    end = Window.of_partition(partition).end
    return Freshness(partition, end, max(now - end, timedelta(0)), late)


@dg.asset_check(asset=CHAMPION.split("/"), name="is_fresh")
def champion_is_fresh(store: StoreResource, source: SourceResource) -> dg.AssetCheckResult:
    """The release that is served is of the last day that could have one."""
    return _checked(champion_freshness(store.open(), newest_moment(source.open, datetime.now(UTC))))


@dg.asset_check(asset=OVERLAY.split("/"), name="is_fresh")
def overlay_is_fresh(store: StoreResource, source: SourceResource) -> dg.AssetCheckResult:
    """What is served knows the last hour that it could know."""
    return _checked(overlay_freshness(store.open(), newest_moment(source.open, datetime.now(UTC))))


def _checked(found: Freshness | None) -> dg.AssetCheckResult:
    if found is None:
        words = "nothing is served"
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description=words)
    return dg.AssetCheckResult(**found.result)  # pyright: ignore[reportArgumentType] (its own fields)


CHECKS = [champion_is_fresh, overlay_is_fresh]


@dg.sensor(
    name="freshness",
    minimum_interval_seconds=CHECK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=f"Every {CHECK_EVERY_S // 60} minutes: lets is_fresh of champion and overlay fail as time passes.",
)
def freshness(
    context: dg.SensorEvaluationContext, store: StoreResource, source: SourceResource
) -> dg.SensorResult | dg.SkipReason:
    """On from the start; its cursor is the last verdicts, and only what changes is written down."""
    opened, now = store.open(), newest_moment(source.open, datetime.now(UTC))
    found = {CHAMPION: champion_freshness(opened, now), OVERLAY: overlay_freshness(opened, now)}
    verdicts = {key: [one.partition, one.is_fresh, one.severity.value] for key, one in found.items() if one is not None}
    before = json.loads(context.cursor or "{}")
    changed = [key for key in verdicts if verdicts[key] != before.get(key)]
    if not changed:
        return dg.SkipReason("; ".join(one.words for one in found.values() if one) or "nothing is served yet")
    events = [_evaluated(key, one) for key, one in found.items() if one is not None and key in changed]
    return dg.SensorResult(asset_events=events, cursor=json.dumps(verdicts))


def _evaluated(key: str, found: Freshness) -> dg.AssetCheckEvaluation:
    name, asset = "is_fresh", dg.AssetKey.from_user_string(key)
    return dg.AssetCheckEvaluation(check_name=name, asset_key=asset, **found.result)  # pyright: ignore[reportArgumentType] (its own fields)


def spoken(age: timedelta) -> str:
    """An age as people say it.

    >>> spoken(timedelta(hours=50))
    '2 d 2 h'
    >>> spoken(timedelta(minutes=3))
    '3 min'
    """
    minutes = int(age.total_seconds()) // 60
    if minutes < 60:
        return f"{minutes} min"
    return (
        f"{minutes // 60} h {minutes % 60} min" if minutes < 24 * 60 else f"{minutes // 1440} d {minutes // 60 % 24} h"
    )

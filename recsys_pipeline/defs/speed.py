"""Speed: what happened since the champion's snapshot, hour by hour, as an overlay over it."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg
import numpy as np
from pydantic import Field, create_model

from recsys_pipeline.adapters.intake.hourly import KEY as INTERACTIONS
from recsys_pipeline.adapters.intake.hourly import LATE_HOURS, hour_files, ingest_hours
from recsys_pipeline.adapters.intake.meaning_of_days import MEANING, refuse_other_meaning, stored_days
from recsys_pipeline.adapters.lineage.manifest_differences import SOURCE
from recsys_pipeline.adapters.serving.overlays import KEY as OVERLAY
from recsys_pipeline.adapters.serving.overlays import hours_since, release_of, release_under
from recsys_pipeline.adapters.serving.releases import RELEASE
from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.core.dataset.days import INTERACTIONS_FILE
from recsys_pipeline.core.dataset.schema import validate_items
from recsys_pipeline.core.reports.monitoring.drift import DriftReport
from recsys_pipeline.core.reports.monitoring.drift_section import drift_headline
from recsys_pipeline.core.reports.monitoring.priors import ProfileConfig
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.speed.build import build_overlay
from recsys_pipeline.core.speed.config import OverlayConfig
from recsys_pipeline.core.speed.delta import read_hours
from recsys_pipeline.core.speed.monitor import HourLimits, hour_profile, hour_report, largest_user
from recsys_pipeline.core.speed.overlay import Overlay, write_overlay
from recsys_pipeline.core.time import HOUR_KEY, Window
from recsys_pipeline.defs.asset import asset
from recsys_pipeline.defs.config_form import config_form, from_form
from recsys_pipeline.defs.deployed_settings import origins_in_run
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.making import recipe_of
from recsys_pipeline.defs.reads import After, Read, Traced
from recsys_pipeline.defs.shown import at_most, metadata_of, report, seed_field
from recsys_pipeline.defs.step_log import steps
from recsys_pipeline.settings import settings

MONITOR = "speed/monitor"
OverlayForm = config_form(
    OverlayConfig,
    max_quarantine_share=(
        float, Field(0.01, ge=0, le=1, description="Fail where a larger share of the catalogue's rows is bad.")
    ),
)  # fmt: skip
MonitorForm = create_model(
    "MonitorForm",
    __base__=(config_form(HourLimits, seed=(int, seed_field("Seed of the samples."))), config_form(ProfileConfig)),
)


class HourlyIngestConfig(dg.Config):
    """How strict hourly ingestion is, and how long it waits for late events."""

    max_quarantine_share: float = Field(
        0.1, ge=0, le=1, description="Fail where a larger share of an hour is bad; an hour is small, so a few rows are."
    )
    late_hours: int = Field(
        LATE_HOURS, ge=0, le=72, description="Hours before this one that are read again where the source has changed."
    )


@asset(
    INTERACTIONS, needs="interactions", kinds={"duckdb", "parquet"}, form=HourlyIngestConfig, hourly=True, by_hand=True,
    shaped_by=ingest_hours, reads_source=True,
)  # fmt: skip
def hourly_interactions(make: Make) -> dg.MaterializeResult:
    """One row is an event of the hour: checked, quarantined and digested as those of a day are.

    Hours since the champion's snapshot that were never ingested are ingested too, and the last `late_hours` where
    events came late; they appear as materializations of their own partitions.
    """
    context, since = make.context, hours_since(make.store, make.window, settings().overlay_hours)
    found = ingest_hours(
        make.store, make.source, make.window, since, lambda hour: _recipe_of_hour(make, hour),
        late_hours=make.form.late_hours, run_id=context.run.run_id,
        max_quarantine_share=make.form.max_quarantine_share, recompute=make.recompute,
        origins=origins_in_run(context, make.form.model_dump()),
    )  # fmt: skip
    for artifact in found.artifacts[:-1]:
        key = artifact.manifest.recipe.partition
        context.log_event(dg.AssetMaterialization(context.asset_key, partition=key, metadata=metadata_of(artifact)))
    for key, why in found.failed.items():
        steps.warning("  %s is left out, since it cannot be read: %s", key, why)
    return report(found.artifacts[-1])


def _recipe_of_hour(make: Make, hour: Window) -> Recipe:
    told = {SOURCE: make.source.fingerprint(hour), MEANING: make.source.meaning.document()}
    settings_of_hour = {**make.form.model_dump(), **told}
    return recipe_of(hourly_interactions, make, hour.start.strftime(HOUR_KEY), settings_of_hour)


def vectors_are_finite(artifact: Artifact) -> bool:
    """Every vector of the overlay is finite, and every file is as it was written."""
    overlay = Overlay.load(artifact.path)
    return all(bool(np.isfinite(found).all()) for found in (overlay.user_vectors, overlay.item_vectors))


def nobody_counts_twice(artifact: Artifact) -> bool:
    """No item's popularity rose by more than the number of users who took it: one user's clicks count once."""
    table = Overlay.load(artifact.path).popularity_table
    now, before, users = (table[name].to_numpy() for name in ("popularity", "before", "users"))
    return bool((now <= before + users + 1e-3).all())


def no_hour_is_missing(artifact: Artifact) -> tuple[bool, Mapping[str, Any]]:
    """The overlay holds every hour since its release's snapshot."""
    absent = artifact.manifest.metrics["missing_hours"]
    return not absent, {"missing": ", ".join(absent) or "none", **at_most(len(absent), 0)}


def _release_under(make: Make) -> list[Artifact]:
    return [release_under(make.store, make.window)]


def _hours(make: Make) -> tuple[list[Artifact], list[str]]:
    """The hours since the release's snapshot: those that are there, and the keys of those that are not."""
    snapshot_end = Window.of_partition(make["release"].manifest.recipe.partition).end
    return hour_files(make.store, Window(snapshot_end, make.window.end))


def _hour_files(make: Make) -> list[Artifact]:
    return make.once(_hours)[0]


def _of_overlay(make: Make) -> Mapping[str, Any]:
    """Raises `DataError` where the events of the release's day meant something else then."""
    day = date.fromisoformat(make["release"].manifest.recipe.partition)
    refuse_other_meaning(make.source, stored_days(make.store, day, day))
    return {**make.form.model_dump(), SOURCE: make.source.fingerprint(make.window, "items")}


@asset(
    OVERLAY, kinds={"safetensors", "parquet"}, form=OverlayForm, settings=_of_overlay, hourly=True, reads_source=True,
    blocking=[vectors_are_finite, nobody_counts_twice], advisory=[no_hour_is_missing], verify_beside=True,
    reads=[
        After(INTERACTIONS),
        Traced(
            "release", trace=_release_under,
            edge=dg.AssetDep(RELEASE.split("/"), partition_mapping=dg.LastPartitionMapping()),
        ),
        Traced("hours", trace=_hour_files),
    ],
)  # fmt: skip
def overlay(make: Make) -> Built:
    """One row is a user or an item that is not as the champion's snapshot has it: vectors, popularity, filters, offer.

    It holds all hours since the snapshot, so that the newest one is all that serving needs beside the champion.
    """
    files, absent = make.once(_hours)
    events, config = read_hours([file.path / INTERACTIONS_FILE for file in files]), from_form(OverlayConfig, make.form)
    release = Release.load(make["release"].path, verify=False)
    parts, summary = build_overlay(release, events, make.window, config, **_catalogue(make))
    write_overlay(make.directory, release, parts)
    return Built({**vars(summary), "missing_hours": absent, "release": release.day})


def _catalogue(make: Make) -> dict[str, Any]:
    """What the source says of items at the end of the hour, as `build_overlay` takes it.

    A catalogue of which much cannot be read would take all that off sale: it fails, as that of a day does.
    """
    if "items" not in make.source.provides:
        return {}
    checked = validate_items(make.source.items(make.window.end), make.window.end)
    checked.check_share("items", make.form.max_quarantine_share)
    return {"catalogue": checked.clean, "images": make.source}


def hour_is_like_its_release(artifact: Artifact) -> tuple[bool, Mapping[str, Any]]:
    """No kind of event, value, category, price or norm has left the release's priors by more than its threshold."""
    found = DriftReport.load(artifact.path)
    return not found.breaches, {"headline": drift_headline(found), **at_most(len(found.breaches), 0)}


def no_user_makes_the_hour(artifact: Artifact) -> tuple[bool, Mapping[str, Any]]:
    """No user has more of the hour's interactions than `max_user_share`."""
    metrics = artifact.manifest.metrics
    share = f"{metrics['largest_user']}: {metrics['largest_user_interactions']} interactions"
    return not metrics["largest_user_too_large"], {"most interactions": share}


def _release_below(make: Make) -> list[Artifact]:
    return [release_of(make.store, make[OVERLAY])]


@asset(
    MONITOR, kinds={"numpy", "parquet"}, form=MonitorForm, hourly=True, verify_beside=True,
    reads=[Read(INTERACTIONS), Read(OVERLAY), Traced("release", trace=_release_below)],
    advisory=[hour_is_like_its_release, no_user_makes_the_hour],
)  # fmt: skip
def monitor(make: Make) -> Built:
    """One row is a feature of the hour (events, values, categories, prices, norms) against the release's priors."""
    release, told = (
        Release.load(make["release"].path, verify=False), read_hours([make[INTERACTIONS].path / INTERACTIONS_FILE])
    )  # fmt: skip
    limits, samples = from_form(HourLimits, make.form), from_form(ProfileConfig, make.form)
    profile = hour_profile(told, release, Overlay.load(make[OVERLAY].path, release), samples, make.form.seed)
    found = hour_report(release.priors, profile, limits, release.day)
    largest = largest_user(told, limits, release.events)
    found.save(make.directory)
    judged = {"features": len(found.rows), "breached": [row.feature for row in found.breaches]}
    return Built(judged | {
        "largest_user": largest.user_id, "largest_user_interactions": largest.interactions,
        "largest_user_too_large": largest.too_large,
    })  # fmt: skip

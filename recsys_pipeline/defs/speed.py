"""Speed: what happened since the champion's snapshot, hour by hour, as an overlay over it."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
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
from recsys_pipeline.adapters.wandb.tracker import TrackedRun
from recsys_pipeline.core.dataset.days import INTERACTIONS_FILE
from recsys_pipeline.core.dataset.schema import validate_items
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.reports.monitoring.drift import DriftReport
from recsys_pipeline.core.reports.monitoring.drift_section import drift_headline
from recsys_pipeline.core.reports.monitoring.priors import ProfileConfig
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.speed.build import build_overlay
from recsys_pipeline.core.speed.config import OverlayConfig
from recsys_pipeline.core.speed.delta import read_hours
from recsys_pipeline.core.speed.monitor import HourLimits, hour_profile, hour_report, largest_user
from recsys_pipeline.core.speed.overlay import Overlay, write_overlay
from recsys_pipeline.core.types import HOUR_KEY, Window
from recsys_pipeline.defs.config_form import config_form, from_form
from recsys_pipeline.defs.deployed_settings import origins_in_run
from recsys_pipeline.defs.partitions import HOURLY, hour_of
from recsys_pipeline.defs.production import make_recipe, metadata_of, produce, report, seed_field, stage_asset, steps
from recsys_pipeline.defs.resources import SourceResource, StoreResource, TrackerResource
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


@stage_asset(INTERACTIONS, needs="interactions", kinds={"duckdb", "parquet"}, partitions=HOURLY)
def hourly_interactions(
    context: dg.AssetExecutionContext, config: HourlyIngestConfig, source: SourceResource, store: StoreResource
) -> dg.MaterializeResult:
    """One row is an event of the hour: checked, quarantined and digested as those of a day are.

    Hours since the champion's snapshot that were never ingested are ingested too, and the last `late_hours` where
    events came late; they appear as materializations of their own partitions.
    """
    opened, hour = source.open(), hour_of(context)

    def recipe_of(window: Window) -> Recipe:
        told = {SOURCE: opened.fingerprint(window), MEANING: opened.meaning.document()}
        return make_recipe(INTERACTIONS, window.start.strftime(HOUR_KEY), [], {**config.model_dump(), **told})

    since = hours_since(store.open(), hour, settings().overlay_hours)
    found = ingest_hours(
        store.open(), opened, hour, since, recipe_of, late_hours=config.late_hours, run_id=context.run.run_id,
        max_quarantine_share=config.max_quarantine_share, recompute=store.recompute,
        origins=origins_in_run(context, config.model_dump()),
    )  # fmt: skip
    for artifact in found.artifacts[:-1]:
        key = artifact.manifest.recipe.partition
        context.log_event(dg.AssetMaterialization(context.asset_key, partition=key, metadata=metadata_of(artifact)))
    for key, why in found.failed.items():
        steps.warning("  %s is left out, since it cannot be read: %s", key, why)
    return report(found.artifacts[-1])


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
    return not absent, {"missing": ", ".join(absent) or "none"}


BLOCKING, ADVISORY = [vectors_are_finite, nobody_counts_twice], [no_hour_is_missing]


@stage_asset(
    OVERLAY, needs="interactions", kinds={"safetensors", "parquet"}, partitions=HOURLY, blocking=BLOCKING,
    after=[INTERACTIONS, dg.AssetDep(RELEASE.split("/"), partition_mapping=dg.LastPartitionMapping())],
    advisory=ADVISORY,
)  # fmt: skip
def overlay(
    context: dg.AssetExecutionContext,
    config: OverlayForm,  # pyright: ignore[reportInvalidTypeForm] (made at run time)
    source: SourceResource,
    store: StoreResource,
    tracker: TrackerResource,
) -> dg.MaterializeResult:
    """One row is a user or an item that is not as the champion's snapshot has it: vectors, popularity, filters, offer.

    It holds all hours since the snapshot, so that the newest one is all that serving needs beside the champion.
    """
    hour, opened = hour_of(context), source.open()
    base = release_under(store.open(), hour)
    day = date.fromisoformat(base.manifest.recipe.partition)
    refuse_other_meaning(opened, stored_days(store.open(), day, day))
    files, absent = hour_files(store.open(), Window(Window.of_partition(base.manifest.recipe.partition).end, hour.end))

    def build(directory: Path, _: TrackedRun) -> Built:
        events, form = read_hours([file.path / INTERACTIONS_FILE for file in files]), from_form(OverlayConfig, config)
        release = Release.load(base.path, verify=False)
        parts, summary = build_overlay(release, events, hour, form, **_catalogue(opened, hour, config))
        write_overlay(directory, release, parts)
        return Built({**vars(summary), "missing_hours": absent, "release": release.day})

    told = {**config.model_dump(), "source": opened.fingerprint(hour, "items")}
    return produce(
        context, store, tracker, inputs=[base, *files], config=told, build=build, blocking=BLOCKING,
        advisory=ADVISORY, verify_beside=True,
    )  # fmt: skip


def _catalogue(source: Source, hour: Window, config: Any) -> dict[str, Any]:
    """What the source says of items at the end of the hour, as `build_overlay` takes it.

    A catalogue of which much cannot be read would take all that off sale: it fails, as that of a day does.
    """
    if "items" not in source.provides:
        return {}
    checked = validate_items(source.items(hour.end), hour.end)
    checked.check_share("items", config.max_quarantine_share)
    return {"catalogue": checked.clean, "images": source}


def hour_is_like_its_release(artifact: Artifact) -> tuple[bool, Mapping[str, Any]]:
    """No kind of event, value, category, price or norm has left the release's priors by more than its threshold."""
    found = DriftReport.load(artifact.path)
    return not found.breaches, {"headline": drift_headline(found)}


def no_user_makes_the_hour(artifact: Artifact) -> tuple[bool, Mapping[str, Any]]:
    """No user has more of the hour's interactions than `max_user_share`."""
    metrics = artifact.manifest.metrics
    share = f"{metrics['largest_user']}: {metrics['largest_user_interactions']} interactions"
    return not metrics["largest_user_too_large"], {"most interactions": share}


FINDINGS = [hour_is_like_its_release, no_user_makes_the_hour]


@stage_asset(
    MONITOR, needs="interactions", kinds={"numpy", "parquet"}, after=[INTERACTIONS, OVERLAY], partitions=HOURLY,
    advisory=FINDINGS,
)  # fmt: skip
def monitor(
    context: dg.AssetExecutionContext,
    config: MonitorForm,  # pyright: ignore[reportInvalidTypeForm] (made at run time)
    store: StoreResource,
    tracker: TrackerResource,
) -> dg.MaterializeResult:
    """One row is a feature of the hour (events, values, categories, prices, norms) against the release's priors."""
    events, made = store.input(context, INTERACTIONS), store.input(context, OVERLAY)
    base = release_of(store.open(), made)

    def build(directory: Path, _: TrackedRun) -> Built:
        release, told = Release.load(base.path, verify=False), read_hours([events.path / INTERACTIONS_FILE])
        limits, limits_of_samples = from_form(HourLimits, config), from_form(ProfileConfig, config)
        profile = hour_profile(told, release, Overlay.load(made.path, release), limits_of_samples, config.seed)
        found = hour_report(release.priors, profile, limits, release.day)
        largest = largest_user(told, limits, release.events)
        found.save(directory)
        judged = {"features": len(found.rows), "breached": [row.feature for row in found.breaches]}
        return Built(judged | {
            "largest_user": largest.user_id, "largest_user_interactions": largest.interactions,
            "largest_user_too_large": largest.too_large,
        })  # fmt: skip

    return produce(
        context, store, tracker, inputs=[events, made, base], config=config, build=build, advisory=FINDINGS,
        verify_beside=True,
    )  # fmt: skip


SPEED_ASSETS = [hourly_interactions, overlay, monitor]

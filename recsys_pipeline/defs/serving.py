"""Serving: the release of a day, the gate's decision on it, and the pointer to what is served."""

import math
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from recsys_pipeline.adapters.intake.ingestion import open_snapshot
from recsys_pipeline.adapters.serving.releases import (
    DECISION,
    PROMOTED,
    RELEASE,
    Standing,
    champion,
    decision_of,
    history,
)
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.adapters.store.manifest import content_digest, describe_files
from recsys_pipeline.adapters.wandb.tracker import TrackedRun
from recsys_pipeline.core.dataset.days import INTERACTIONS_FILE
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.learning.cold_start.cold_start import ColdStart
from recsys_pipeline.core.models.popularity import PopularityModel
from recsys_pipeline.core.models.stl import StlModel
from recsys_pipeline.core.printable import markdown_text
from recsys_pipeline.core.reports.monitoring.priors import Profile
from recsys_pipeline.core.reports.monitoring.profile_inputs import read_events
from recsys_pipeline.core.serving.assemble import DayOfRelease, assemble
from recsys_pipeline.core.serving.gate import LATENCY, Decision, judge
from recsys_pipeline.core.serving.gate_checks import CHECKS, GateCheck, lists_are_fast
from recsys_pipeline.core.serving.gate_figures import Trial, measure
from recsys_pipeline.core.serving.gate_limits import GateLimits
from recsys_pipeline.core.serving.release import Release, write_release
from recsys_pipeline.core.serving.release_config import ReleaseConfig, released_model
from recsys_pipeline.core.types import Window, microseconds
from recsys_pipeline.defs.config_form import config_form, from_form
from recsys_pipeline.defs.freshness import CHAMPION
from recsys_pipeline.defs.item_images import NEED as ITEM_IMAGES
from recsys_pipeline.defs.item_images import TOWER_VECTORS
from recsys_pipeline.defs.item_images import VECTORS as IMAGE_VECTORS
from recsys_pipeline.defs.joins import KEY as JOINS
from recsys_pipeline.defs.models import features_of
from recsys_pipeline.defs.partitions import day_of
from recsys_pipeline.defs.production import Finding, produce, seed_field, stage_asset, steps
from recsys_pipeline.defs.promotion import PromotionConfig, departures_table, promoted, wish_of
from recsys_pipeline.defs.releasing import announce
from recsys_pipeline.defs.reports.drift import KEY as DRIFT
from recsys_pipeline.defs.reports.drift import PROFILE
from recsys_pipeline.defs.resources import StoreResource, TrackerResource, configured_source
from recsys_pipeline.defs.warm_starts import input_of, remembered, unremembered

RELEASE_INPUTS = {
    "interactions": ["models/als", "folds/prequential", "dataset/snapshot", DRIFT],
    "items": ["dataset/items", "models/cold_start"],
    "looks": ["models/stl", TOWER_VECTORS],
    ITEM_IMAGES: [IMAGE_VECTORS],
}
JOINS_FIRST = [JOINS] if {"interactions", "items"} <= configured_source().provides else []
"""It reads nothing of it: where ids do not join, nothing is released."""
AVAILABLE = [key for need, keys in RELEASE_INPUTS.items() if need in configured_source().provides for key in keys]
GATE_INPUTS = [RELEASE, "models/als", "models/popularity", "folds/prequential", "dataset/interactions"]
GATE_INPUTS += ["dataset/snapshot", DRIFT]
ReleaseForm = config_form(ReleaseConfig, seed=(int, seed_field("Seed of the index and of the priors' samples.")))
GateForm = config_form(GateLimits, seed=(int, seed_field("Seed of resampling and of the users sampled.")))


@stage_asset(
    RELEASE, needs="interactions", kinds={"safetensors", "parquet", "faiss"}, after=[*AVAILABLE, *JOINS_FIRST],
)  # fmt: skip
def release(
    context: dg.AssetExecutionContext,
    config: ReleaseForm,  # pyright: ignore[reportInvalidTypeForm] (made at run time)
    store: StoreResource,
    tracker: TrackerResource,
) -> dg.MaterializeResult:
    """One row is an item or a user as it is served: everything that serving needs of the day, in one folder.

    The item vectors that the reports judged, every user folded in on everything known at the end of the day, the
    catalogue with its index, histories, and what maps new items.
    """
    inputs = {key: store.input(context, key) for key in AVAILABLE}

    def build(directory: Path, _: TrackedRun) -> Built:
        settings = from_form(ReleaseConfig, config)
        parts = assemble(_day(store.open(), inputs, day_of(context), settings.model), settings, config.seed)
        write_release(directory, parts)
        kinds = {row["values"]: row["counts"] for row in parts.catalogue["kind"].value_counts().to_pylist()}
        on_sale = {"items_on_sale": parts.index.report.n_vectors, "recall": parts.index.report.recall}
        facts = {"users": len(parts.user_ids), "items": parts.catalogue.num_rows, **on_sale}
        return Built(
            {**facts, **{f"items_{kind}": kinds[kind] for kind in sorted(kinds)}, "pairs": len(parts.histories)}
        )

    return produce(context, store, tracker, inputs=list(inputs.values()), config=config, build=build)


def _day(store: ArtifactStore, inputs: Mapping[str, Artifact], day: date, model: str) -> DayOfRelease:
    snapshot = open_snapshot(store, inputs["dataset/snapshot"], events=True)
    items, mappers, towers = (inputs.get(key) for key in ("dataset/items", "models/cold_start", "models/stl"))
    cold_start = ColdStart.load(mappers.path) if mappers else None
    return DayOfRelease(
        day=day.isoformat(),
        end_us=microseconds(Window.of_day(day).end),
        model=released_model(model).load(inputs[f"models/{model}"].path),
        fold=Fold.load(inputs["folds/prequential"].path),
        user_ids=snapshot.user_ids,
        item_ids=snapshot.item_ids,
        profile=Profile.load(inputs[DRIFT].path / PROFILE),
        catalogue=pq.read_table(items.path / "items.parquet") if items else None,
        map_items=(lambda ids: cold_start.mapper.vectors(features_of(ids, inputs))) if cold_start else None,
        cold_start=cold_start,
        towers=StlModel.load(towers.path) if towers else None,
        avoided=snapshot.avoided(),
        events=snapshot.events,
    )


def _as_asset_check(check: GateCheck) -> Finding:
    """The gate's check as Dagster shows it, read from the stored decision."""

    def found(artifact: Artifact) -> tuple[bool, Mapping[str, Any]]:
        row = Decision.load(artifact.path).check(check.__name__)
        return row.passed, {"in words": row.words}

    found.__name__, found.__doc__ = check.__name__, check.__doc__
    return found


GATE = [_as_asset_check(check) for check in CHECKS]


@stage_asset(DECISION, needs="interactions", kinds={"python", "numpy"}, after=GATE_INPUTS, blocking=GATE)
def decision(
    context: dg.AssetExecutionContext,
    config: GateForm,  # pyright: ignore[reportInvalidTypeForm] (made at run time)
    store: StoreResource,
    tracker: TrackerResource,
) -> dg.MaterializeResult:
    """One row is a check of the day's release against limits and against the champion, with its value and bound.

    The champion is the newest release of an earlier day that was promoted or stands in for its day, so that a day that
    is computed again, or backfilled, is decided as it would have been in order. Every check blocks: what fails one is
    not promoted. Lists that were too slow are timed again in every run.
    """
    opened, limits = store.open(), from_form(GateLimits, config)
    inputs = {key: store.input(context, key) for key in GATE_INPUTS}
    before = champion(opened, before=context.partition_key)
    earlier, best = _earlier_decisions(opened, before, context.partition_key, limits)
    behind, best_release = remembered(opened, inputs["models/als"]), input_of(opened, best, RELEASE) if best else None

    def build(directory: Path, run: TrackedRun) -> Built:
        best_day = best.manifest.recipe.partition if best else ""
        figures = measure(_trial(opened, inputs, behind, before, best_release, best_day), limits, config.seed)
        made = judge(figures, Decision.load(earlier.path).figures if earlier else None, limits)
        made.save(directory)
        if not made.promoted:
            run.alert(f"Release of {context.partition_key} rejected", made.why_not)
        return _decided(made, directory)

    sources = {
        source.path: source for source in (*inputs.values(), before, earlier, best, best_release, *behind) if source
    }
    result = produce(
        context,
        store,
        tracker,
        inputs=list(sources.values()),
        config=config,
        build=build,
        describe=_describe,
        blocking=GATE,
        stands=_was_fast,
    )
    for line in _failed(opened.get(DECISION, context.partition_key)):
        steps.info("  rejected: %s", line)
    return result


def _earlier_decisions(
    store: ArtifactStore, before: Artifact | None, day: str, limits: GateLimits
) -> tuple[Artifact | None, Artifact | None]:
    """The decision by which the day's champion was let through, and the best of the last days that stand."""
    first = (date.fromisoformat(day) - timedelta(days=limits.decay_days)).isoformat()
    standing = sorted(Standing.of(history(store)).stands.items())
    found = [decision_of(store, other, move.digest) for other, move in standing if first <= other < day]
    best = max((one for one in found if one and not math.isnan(_ndcg(one))), key=_ndcg, default=None)
    own = decision_of(store, before.manifest.recipe.partition, before.manifest.digest) if before else None
    return own, best


def _ndcg(decided: Artifact) -> float:
    return float(decided.manifest.metrics["ndcg"])


def _trial(
    store: ArtifactStore,
    inputs: Mapping[str, Artifact],
    behind: list[Artifact],
    before: Artifact | None,
    best: Artifact | None,
    best_day: str,
) -> Trial:
    snapshot = open_snapshot(store, inputs["dataset/snapshot"])
    day_file = inputs["dataset/interactions"].path / INTERACTIONS_FILE
    events = read_events(day_file, snapshot.user_ids.tolist(), [], snapshot.events)
    return Trial(
        release=Release.load(inputs[RELEASE].path),
        fold=unremembered(inputs["folds/prequential"], behind),
        popularity=PopularityModel.load(inputs["models/popularity"].path),
        event_users=events.user[events.is_interaction],
        champion=Release.load(before.path) if before else None,
        best=Release.load(best.path) if best else None,
        best_day=best_day,
        drifted=tuple(inputs[DRIFT].manifest.metrics["breached"]),
    )


def _was_fast(artifact: Artifact) -> bool:
    """A stopwatch rejects nothing for good: where it did, the next run measures anew."""
    return Decision.load(artifact.path).check(lists_are_fast.__name__).passed


def _decided(made: Decision, directory: Path) -> Built:
    """The digest leaves out how fast lists were, but not whether they were fast enough."""
    figures, gap = made.figures, made.figures.versus_champion
    metrics = {
        "promoted": made.promoted,
        "ndcg": figures.ndcg,
        "ndcg_low": figures.ndcg_low,
        "ndcg_high": figures.ndcg_high,
        "champion": made.champion or "none",
        **({"against_champion": gap.value, "p_value": gap.p_value} if gap else {}),
        "coverage": figures.coverage,
        "latency_p99_ms": figures.latency_p99_ms,
        "failed": [check.name for check in made.checks if not check.passed],
        "warnings": list(made.warnings),
    }
    files = {name: entry for name, entry in describe_files(directory).items() if name != LATENCY}
    return Built(metrics, digest=content_digest(files))


def _describe(artifact: Artifact) -> dict[str, Any]:
    made = Decision.load(artifact.path)
    rows = [
        f"| {'✓' if check.passed else '✗'} | {check.name.replace('_', ' ')} | {markdown_text(check.words)} |"
        for check in made.checks
    ]
    return {"checks": dg.MetadataValue.md("\n".join(["| | check | what was found |", "| --- | --- | --- |", *rows]))}


def _failed(artifact: Artifact) -> list[str]:
    return [check.words for check in Decision.load(artifact.path).checks if not check.passed]


@stage_asset(CHAMPION, needs="interactions", kinds={"python"}, after=[RELEASE, DECISION])
def champion_pointer(
    context: dg.AssetExecutionContext, config: PromotionConfig, store: StoreResource, tracker: TrackerResource
) -> dg.MaterializeResult:
    """One row is the release that is served: the pointer moves here if the gate let the day through.

    It never moves back in time, nor to a release that was withdrawn by hand, nor, unless asked, to an experiment, whose
    settings are not the deployment's. It is no artifact: its file and history are `serving/champion.json` in the store.
    """
    opened, wish = store.open(), wish_of(context, config)
    release, decided = store.input(context, RELEASE), store.input(context, DECISION)
    outcome, differing = promoted(opened, release, decided, wish)
    served = Standing.of(history(opened)).current
    if outcome == PROMOTED and served is not None:
        announce(opened, tracker.open(), served)
    steps.info("%-24s %-10s %s", CHAMPION, context.partition_key, outcome)
    experiment = {"settings that differ": departures_table(differing)} if differing else {}
    return dg.MaterializeResult(
        metadata={"outcome": outcome, "champion": served.day if served else "none", **experiment}
    )


SERVING_ASSETS = [release, decision, champion_pointer]

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
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.serving.release_config import ReleaseConfig, released_model
from recsys_pipeline.core.serving.release_parts import write_release
from recsys_pipeline.core.time import microseconds
from recsys_pipeline.defs.asset import Finding, asset
from recsys_pipeline.defs.config_form import config_form, from_form
from recsys_pipeline.defs.freshness import CHAMPION
from recsys_pipeline.defs.item_images import NEED as ITEM_IMAGES
from recsys_pipeline.defs.item_images import TOWER_VECTORS
from recsys_pipeline.defs.item_images import VECTORS as IMAGE_VECTORS
from recsys_pipeline.defs.joins import KEY as JOINS
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.models import features_of
from recsys_pipeline.defs.promotion import PromotionConfig, departures_table, promoted, wish_of
from recsys_pipeline.defs.reads import After, Read, Traced
from recsys_pipeline.defs.released import released_key
from recsys_pipeline.defs.releasing import announce
from recsys_pipeline.defs.reports.drift import KEY as DRIFT
from recsys_pipeline.defs.reports.drift import PROFILE
from recsys_pipeline.defs.shown import judged, seed_field
from recsys_pipeline.defs.step_log import steps
from recsys_pipeline.defs.warm_starts import input_of, remembered, unremembered

ReleaseForm = config_form(ReleaseConfig, seed=(int, seed_field("Seed of the index and of the priors' samples.")))
GateForm = config_form(GateLimits, seed=(int, seed_field("Seed of resampling and of the users sampled.")))


def _other_model(make: Make) -> list[Artifact | None]:
    """The model of an experiment that releases another one than the deployment; raises where it was never fitted."""
    key = f"models/{from_form(ReleaseConfig, make.form).model}"
    return [] if key == released_key() else [make.store.get(key, make.partition)]


@asset(
    RELEASE, kinds={"safetensors", "parquet", "faiss"}, form=ReleaseForm,
    reads=[
        Read(released_key()), Read("folds/prequential"), Read("dataset/snapshot"), Read(DRIFT),
        Traced("experiment", trace=_other_model),
        Read("dataset/items", needs="items"), Read("models/cold_start", needs="items"),
        Read("models/stl", needs="looks"), Read(TOWER_VECTORS, needs="looks"), Read(IMAGE_VECTORS, needs=ITEM_IMAGES),
        After(JOINS, needs="interactions.items"),
    ],
)  # fmt: skip
def release(make: Make) -> Built:
    """One row is an item or a user as it is served: everything that serving needs of the day, in one folder.

    The item vectors that the reports judged, every user folded in on everything known at the end of the day, the
    catalogue with its index, histories, and what maps new items.
    """
    config = from_form(ReleaseConfig, make.form)
    parts = assemble(_day(make, config.model), config, make.form.seed)
    write_release(make.directory, parts)
    kinds = {row["values"]: row["counts"] for row in parts.catalogue["kind"].value_counts().to_pylist()}
    on_sale = {"items_on_sale": parts.index.report.n_vectors, "recall": parts.index.report.recall}
    facts = {"users": len(parts.user_ids), "items": parts.catalogue.num_rows, **on_sale}
    return Built({**facts, **{f"items_{kind}": kinds[kind] for kind in sorted(kinds)}, "pairs": len(parts.histories)})


def _day(make: Make, model: str) -> DayOfRelease:
    snapshot = open_snapshot(make.store, make["dataset/snapshot"], events=True)
    items, mappers, towers = (make.one(key) for key in ("dataset/items", "models/cold_start", "models/stl"))
    other = make.one("experiment")
    mappers = None if other else mappers  # they map into the vectors of the deployment's model
    cold_start = ColdStart.load(mappers.path) if mappers else None
    return DayOfRelease(
        day=make.partition,
        end_us=microseconds(make.window.end),
        model=released_model(model).load((other or make[released_key()]).path),
        fold=Fold.load(make["folds/prequential"].path),
        user_ids=snapshot.user_ids,
        item_ids=snapshot.item_ids,
        profile=Profile.load(make[DRIFT].path / PROFILE),
        catalogue=pq.read_table(items.path / "items.parquet") if items else None,
        map_items=(lambda ids: cold_start.mapper.vectors(features_of(ids, make.reads))) if cold_start else None,
        cold_start=cold_start,
        towers=StlModel.load(towers.path) if towers else None,
        avoided=snapshot.avoided(),
        events=snapshot.events,
    )


def _as_asset_check(check: GateCheck) -> Finding:
    """The gate's check as Dagster shows it, read from the stored decision."""

    def found(artifact: Artifact) -> tuple[bool, Mapping[str, Any]]:
        row = Decision.load(artifact.path).check(check.__name__)
        return row.passed, {"in words": row.words, **judged(row.value, row.bound, row.passed)}

    found.__name__, found.__doc__ = check.__name__, check.__doc__
    return found


GATE = [_as_asset_check(check) for check in CHECKS]


def _champion_before(make: Make) -> list[Artifact | None]:
    """The newest release of an earlier day that was promoted or stands in for its day."""
    return [champion(make.store, before=make.partition)]


def decision_on(store: ArtifactStore, release: Artifact) -> Artifact | None:
    """The decision by which a release was let through."""
    return decision_of(store, release.manifest.recipe.partition, release.manifest.digest)


def _its_decision(make: Make) -> list[Artifact | None]:
    before = make.one("champion")
    return [decision_on(make.store, before) if before else None]


def best_decision(store: ArtifactStore, day: str, decay_days: int) -> Artifact | None:
    """The decision with the highest NDCG of the last days before one that stand."""
    first = (date.fromisoformat(day) - timedelta(days=decay_days)).isoformat()
    standing = sorted(Standing.of(history(store)).stands.items())
    found = [decision_of(store, other, move.digest) for other, move in standing if first <= other < day]
    return max((one for one in found if one and not math.isnan(_ndcg(one))), key=_ndcg, default=None)


def _best_decision(make: Make) -> list[Artifact | None]:
    return [best_decision(make.store, make.partition, from_form(GateLimits, make.form).decay_days)]


def _its_release(make: Make) -> list[Artifact | None]:
    best = make.one("best decision")
    return [input_of(make.store, best, RELEASE) if best else None]


def _remembered(make: Make) -> list[Artifact]:
    """What the release's model went on from, whichever model that is."""
    model = input_of(make.store, make[RELEASE], f"models/{make[RELEASE].manifest.recipe.config['model']}")
    return remembered(make.store, model or make[released_key()])


def _ndcg(decided: Artifact) -> float:
    return float(decided.manifest.metrics["ndcg"])


def _was_fast(artifact: Artifact) -> bool:
    """A stopwatch rejects nothing for good: where it did, the next run measures anew."""
    return Decision.load(artifact.path).check(lists_are_fast.__name__).passed


def _describe(_: Make, artifact: Artifact) -> dict[str, Any]:
    made = Decision.load(artifact.path)
    for check in made.checks:
        if not check.passed:
            steps.info("  rejected: %s", check.words)
    rows = [
        f"| {'✓' if check.passed else '✗'} | {check.name.replace('_', ' ')} | {markdown_text(check.words)} |"
        for check in made.checks
    ]
    return {"checks": dg.MetadataValue.md("\n".join(["| | check | what was found |", "| --- | --- | --- |", *rows]))}


@asset(
    DECISION, kinds={"python", "numpy"}, form=GateForm, describe=_describe, blocking=GATE, stands=_was_fast,
    reads=[
        Read(RELEASE), Read(released_key()), Read("models/popularity"), Read("folds/prequential"),
        Read("dataset/interactions"), Read("dataset/snapshot"), Read(DRIFT), Traced("champion", trace=_champion_before),
        Traced("its decision", trace=_its_decision), Traced("best decision", trace=_best_decision),
        Traced("best release", trace=_its_release), Traced("remembered", trace=_remembered),
    ],
)  # fmt: skip
def decision(make: Make) -> Built:
    """One row is a check of the day's release against limits and against the champion, with its value and bound.

    The champion is the newest release of an earlier day that was promoted or stands in for its day, so that a day that
    is computed again, or backfilled, is decided as it would have been in order. Every check blocks: what fails one is
    not promoted. Lists that were too slow are timed again in every run.
    """
    limits, earlier = from_form(GateLimits, make.form), make.one("its decision")
    figures = measure(_trial(make), limits, make.form.seed)
    made = judge(figures, Decision.load(earlier.path).figures if earlier else None, limits)
    made.save(make.directory)
    if not made.promoted:
        make.run.alert(f"Release of {make.partition} rejected", made.why_not)
    return _decided(made, make.directory)


def _trial(make: Make) -> Trial:
    snapshot = open_snapshot(make.store, make["dataset/snapshot"])
    day_file = make["dataset/interactions"].path / INTERACTIONS_FILE
    events = read_events(day_file, snapshot.user_ids.tolist(), [], snapshot.events)
    before, best, best_decision = (make.one(name) for name in ("champion", "best release", "best decision"))
    return Trial(
        release=Release.load(make[RELEASE].path),
        fold=unremembered(make["folds/prequential"], make.all("remembered")),
        popularity=PopularityModel.load(make["models/popularity"].path),
        event_users=events.user[events.is_interaction],
        champion=Release.load(before.path) if before else None,
        best=Release.load(best.path) if best else None,
        best_day=best_decision.manifest.recipe.partition if best_decision else "",
        drifted=tuple(make[DRIFT].manifest.metrics["breached"]),
    )


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


@asset(CHAMPION, kinds={"python"}, reads=[Read(RELEASE), Read(DECISION)], form=PromotionConfig, by_hand=True)
def champion_pointer(make: Make) -> dg.MaterializeResult:
    """One row is the release that is served: the pointer moves here if the gate let the day through.

    It never moves back in time, nor to a release that was withdrawn by hand, nor, unless asked, to an experiment, whose
    settings are not the deployment's. It is no artifact: its file and history are `serving/champion.json` in the store.
    """
    wish = wish_of(make.context, make.form)
    outcome, differing = promoted(make.store, make[RELEASE], make[DECISION], wish)
    served = Standing.of(history(make.store)).current
    if outcome == PROMOTED and served is not None:
        announce(make.store, make.tracker, served)
    steps.info("%-24s %-10s %s", CHAMPION, make.partition, outcome)
    experiment = {"settings that differ": departures_table(differing)} if differing else {}
    return dg.MaterializeResult(
        metadata={"outcome": outcome, "champion": served.day if served else "none", **experiment}
    )

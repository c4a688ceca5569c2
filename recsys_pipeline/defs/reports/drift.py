"""The drift report: the day's profile, and how far it lies from the one before."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import create_model

from recsys_pipeline.adapters.intake.ingestion import open_snapshot
from recsys_pipeline.adapters.serving.releases import Standing, history, released
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore, Built
from recsys_pipeline.core.dataset.days import INTERACTIONS_FILE
from recsys_pipeline.core.folds import PARTS, Fold
from recsys_pipeline.core.hashing import text_hashes
from recsys_pipeline.core.neighbors.vectors import VectorTable
from recsys_pipeline.core.reports.monitoring.drift import Drift, DriftLimits, DriftReport, breach_summary, drift_report
from recsys_pipeline.core.reports.monitoring.drift_section import drift_headline, worst_plot
from recsys_pipeline.core.reports.monitoring.priors import Profile, ProfileConfig, model_settings
from recsys_pipeline.core.reports.monitoring.profile_inputs import first_timers, positions, read_catalogue, read_events
from recsys_pipeline.core.reports.monitoring.profiles import activity_profile, catalogue_profile, retrieval_profile
from recsys_pipeline.core.reports.monitoring.retrieval_sample import Retrieval
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.core.time import microseconds
from recsys_pipeline.defs.asset import asset
from recsys_pipeline.defs.config_form import config_form, from_form
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.models import fitted_config
from recsys_pipeline.defs.reads import Read, Traced
from recsys_pipeline.defs.released import released_key, vectors_key
from recsys_pipeline.defs.shown import at_most, drawn, picture, seed_field

KEY = "reports/drift"
PROFILE = "profile"
"""Folder of the artifact that holds the day's profile: what later days are compared with."""
DriftForm = create_model(
    "DriftForm",
    __base__=(config_form(DriftLimits, seed=(int, seed_field("Seed of the samples."))), config_form(ProfileConfig)),
)


def no_drift(artifact: Artifact) -> tuple[bool, Mapping[str, Any]]:
    """No feature has left the reference by more than its threshold, and hardly any list is empty."""
    report = DriftReport.load(artifact.path)
    plot = drawn(lambda: _plot(report, artifact, "plot"), "the plot of the largest drift")
    numbers = at_most(len(report.breaches), 0)
    return not report.breaches, {"headline": drift_headline(report), **numbers, **plot}


def reference_profile(store: ArtifactStore, partition: str) -> Artifact | None:
    """The artifact whose profile a day is compared with: the newest day before it that was profiled.

    Of that day it is the profile behind the release that stands, where one does: an experiment of the same day is
    nothing that a later day is to be like.
    """
    newest = store.latest(KEY, before=partition)
    promoted = Standing.of(history(store)).stands.get(newest.manifest.recipe.partition) if newest else None
    if promoted is None:
        return newest
    refs = [ref for ref in released(store, promoted).manifest.recipe.inputs if ref.key == KEY]
    return (store.find(refs[0]) if refs else None) or newest


def _reference(make: Make) -> list[Artifact | None]:
    return [reference_profile(make.store, make.partition)]


def _describe(_: Make, artifact: Artifact) -> dict[str, Any]:
    report = DriftReport.load(artifact.path)
    return {"headline": drift_headline(report), **_plot(report, artifact, "plot of the largest drift")}


def _plot(report: DriftReport, artifact: Artifact, name: str) -> dict[str, Any]:
    figure = worst_plot(report, artifact.manifest.recipe.partition)
    return {name: picture(plots.to_png(figure), "reference and today")} if figure else {}


@asset(
    KEY, kinds={"numpy", "parquet"}, form=DriftForm, describe=_describe, advisory=[no_drift],
    reads=[
        Read("dataset/interactions"), Read("dataset/snapshot"), Read("folds/prequential"), Read(released_key()),
        Read(vectors_key()), Read("dataset/items", needs="items"), Traced("reference", trace=_reference),
    ],
)  # fmt: skip
def drift(make: Make) -> Built:
    """One row is a feature of the day (scores, vectors, catalogue, activity) against the reference before it."""
    today = _profile(make)
    today.save(make.directory / PROFILE)
    earlier, name = _read(make.one("reference"))
    same = earlier is not None and today.has_settings_of(earlier)
    report = drift_report(earlier, today, from_form(DriftLimits, make.form), name, same_settings=same)
    report.save(make.directory)
    if report.breaches:
        make.run.alert(f"Drift on {make.partition}", breach_summary(report.breaches))
    return Built(_metrics(report))


def _read(reference: Artifact | None) -> tuple[Profile | None, str]:
    if reference is None:
        return None, ""
    return Profile.load(reference.path / PROFILE), reference.manifest.recipe.partition


def _profile(make: Make) -> Profile:
    config, seed, window = from_form(ProfileConfig, make.form), make.form.seed, make.window
    fold = Fold.load(make["folds/prequential"].path)
    snapshot = open_snapshot(make.store, make["dataset/snapshot"], events=True)
    ids, catalogue = [], None
    if "dataset/items" in make:
        ids, catalogue = read_catalogue(make["dataset/items"].path / "items.parquet", microseconds(window.end))
    day_file = make["dataset/interactions"].path / INTERACTIONS_FILE
    events = read_events(day_file, snapshot.user_ids.tolist(), ids, snapshot.events)
    day = window.start.date().isoformat()
    earlier = [make.store.local_root / entry.path for entry in snapshot.days if entry.day < day and entry.rows]
    new = first_timers(day_file, earlier, snapshot.events)
    activity = activity_profile(events, catalogue, new, config, seed)
    vectors = make[vectors_key()].path
    items, users = VectorTable.load(vectors / "items"), VectorTable.load(vectors / "users")
    rows = positions(np.array(items.ids, object), ids)
    seen_user, seen_item = (
        np.concatenate([getattr(getattr(fold, part), name) for part in PARTS]) for name in ("user", "item")
    )
    active, tie_key = np.unique(events.user), text_hashes(items.ids)
    retrieval = Retrieval(users.vectors, items.vectors, seen_user, seen_item, rows, active, tie_key)
    offer = catalogue_profile(catalogue, config, seed) if catalogue else Profile()
    given = Profile(settings=model_settings(fitted_config(make[released_key()])))
    return activity | offer | retrieval_profile(retrieval, catalogue, config, seed) | given


def _metrics(report: DriftReport) -> dict[str, Any]:
    compared = [row for row in report.rows if row.compared and row.statistic == "psi"]
    judged: list[Drift] = [row for row in compared if not math.isnan(row.value)]
    worst = max(judged, key=lambda row: row.value, default=None)
    return {
        "breaches": len(report.breaches),
        "breached": [row.feature for row in report.breaches],
        "features": len(report.rows),
        "of_other_settings": [row.feature for row in report.not_compared],
        "reference": report.reference or "none",
        **({"largest_psi": worst.value, "largest_psi_of": worst.feature} if worst else {}),
    }

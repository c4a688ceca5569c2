"""The off-policy report: what other policies would have earned, from the propensities of the day's log."""

from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from recsys_pipeline.adapters.intake.ingestion import open_snapshot
from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.core.dataset.snapshots import Snapshot
from recsys_pipeline.core.dataset.sources import KnowsTruth, Source
from recsys_pipeline.core.reports.off_policy.history import day_events, history_before, items_on_offer
from recsys_pipeline.core.reports.off_policy.logged_feedback import logged_feedback
from recsys_pipeline.core.reports.off_policy.plots import estimates_against_truth
from recsys_pipeline.core.reports.off_policy.report import OffPolicyReport, study_log
from recsys_pipeline.core.reports.off_policy.section import off_policy_section
from recsys_pipeline.core.reports.off_policy.study import LOGGED, OffPolicyConfig, Truth
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.defs.asset import asset
from recsys_pipeline.defs.config_form import config_form, from_form
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.models import fitted_config
from recsys_pipeline.defs.reads import Read
from recsys_pipeline.defs.released import released
from recsys_pipeline.defs.shown import picture, seed_field

MODELS = ("popularity", released().name)
READS = [Read("dataset/snapshot"), *(Read(f"models/{name}") for name in MODELS), Read("dataset/items", needs="items")]
OffPolicyForm = config_form(OffPolicyConfig, seed=(int, seed_field("Seed of folds, samples and resampling.")))


def _describe(_: Make, artifact: Artifact) -> dict[str, Any]:
    report = OffPolicyReport.load(artifact.path)
    described: dict[str, Any] = {"headline": dg.MetadataValue.md(off_policy_section(report).headline)}
    if report.estimates:
        logged = next(row.value for row in report.estimates if row.policy == LOGGED)
        figure = estimates_against_truth([row for row in report.estimates if row.policy != LOGGED], logged)
        described["plot of policies"] = picture(plots.to_png(figure), "clicks per request by policy")
    return described


@asset(
    "reports/off_policy", kinds={"numpy", "python"}, reads=READS, form=OffPolicyForm, describe=_describe,
    reads_source=True,
)  # fmt: skip
def off_policy(make: Make) -> Built:
    """One row is the value of a policy by an estimator, from the day's log, with its interval and effective size.

    Today's models are fitted again, with their settings, on the days before: no policy learned from the log that
    judges it. A source that logs no propensities gets ranking figures freed of popularity only.
    """
    snapshot, day, seed = (
        open_snapshot(make.store, make["dataset/snapshot"], events=True),
        make.partition,
        make.form.seed,
    )
    history = history_before(snapshot, day, _settings_of(make), seed)
    feedback = logged_feedback(day_events(snapshot, day), snapshot.user_ids, snapshot.item_ids, snapshot.events)
    actions = items_on_offer(snapshot, _catalogue(make), pd.Timestamp(day, tz="UTC"), history.shown)
    chosen, truth = from_form(OffPolicyConfig, make.form), _truth_of(make.source, snapshot)
    report = study_log(feedback, history, actions, chosen, seed, *truth)
    report.save(make.directory)
    return Built({**report.headline_figures, "requests": report.n_requests, "power": report.power_law.exponent})


def _settings_of(make: Make) -> dict[str, Any]:
    """The config of each of today's models."""
    return {name: fitted_config(make[f"models/{name}"]) for name in MODELS}


def _catalogue(make: Make) -> pd.DataFrame | None:
    items = make.one("dataset/items")
    return pd.read_parquet(items.path / "items.parquet") if items else None


def _truth_of(source: Source, snapshot: Snapshot) -> tuple[Truth | None, Any]:
    """What the source knows of clicks and attention, over the snapshot's dense ids; nothing for a real source."""
    if not isinstance(source, KnowsTruth):
        return None, None
    users, items = np.asarray(snapshot.user_ids), np.asarray(snapshot.item_ids)
    return lambda user, item, at: source.click_probability(users[user], items[item], at), source.examination

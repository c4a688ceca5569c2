"""The parity report: on days of a full fit, what the continued model would have been, and how far it lies behind."""

from datetime import date
from typing import Any

import dagster as dg
from pydantic import Field

from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.folds.triplets import LookFolds
from recsys_pipeline.core.models import ModelSpec, discover
from recsys_pipeline.core.reports.accuracy.ranking_report import load_records, save_records
from recsys_pipeline.core.reports.page import plots
from recsys_pipeline.core.reports.parity.gaps import Gap, compare_looks, compare_rankings, gap_figure
from recsys_pipeline.defs.asset import asset
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.models import fit_of, fitted_config, inputs_of, training_data
from recsys_pipeline.defs.reads import Earlier, Read, Traced
from recsys_pipeline.defs.resources import StoreResource
from recsys_pipeline.defs.shown import at_most, picture, seed_field
from recsys_pipeline.defs.step_log import steps
from recsys_pipeline.defs.warm_starts import BEHIND, PARITY, plan_fit, trained_before

GAPS = "gaps.parquet"
CONTINUED = [spec for spec in discover().values() if spec.continue_fit and spec.daily]
"""Models that go on from day to day, where the source feeds them."""


class ParityConfig(dg.Config):
    """How far behind a full fit a continued model may be."""

    max_gap: float = Field(
        0.01,
        ge=0,
        description="The check fails where a gap's whole 95% interval lies above this: NDCG@10, or accuracy.",
    )
    n_resamples: int = Field(1000, ge=1, description="Bootstrap resamples of users or scenes.")
    seed: int = seed_field("Seed of the resampling.")


def _starts(make: Make) -> dict[str, Artifact]:
    """By model that was fitted in full today: what it could have gone on from."""
    fed = [spec for spec in CONTINUED if f"models/{spec.name}" in make]
    return {spec.name: start for spec in fed if (start := _start(spec, make))}


def _behind(make: Make) -> dict[str, list[Artifact]]:
    return {name: trained_before(make.store, start) for name, start in make.once(_starts).items()}


def _all_behind(make: Make) -> list[Artifact]:
    return [one for found in make.once(_behind).values() for one in found]


def _read_of(spec: ModelSpec) -> list[Read]:
    return [Read(key, needs=spec.data) for key in (f"models/{spec.name}", *inputs_of(spec))]


def _describe(_: Make, artifact: Artifact) -> dict[str, Any]:
    gaps = load_records(Gap, artifact.path / GAPS)
    if not gaps:
        return {}
    figure = gap_figure(gaps, artifact.manifest.recipe.config["max_gap"])
    return {"plot of gaps": picture(plots.to_png(figure), "full minus continued, day by day")}


@asset(
    PARITY, kinds={"jax", "python"}, form=ParityConfig, describe=_describe,
    reads=[
        *(read for spec in CONTINUED for read in _read_of(spec)), Traced("behind", trace=_all_behind), Earlier(PARITY),
    ],
)  # fmt: skip
def parity(make: Make) -> Built:
    """One row is the gap between a model's full fit and its continued fit of the same day, on the same test rows.

    Only days of a full fit have new rows; the others carry the earlier ones along. Where a gap is too large its check
    fails the run, and the next day is fitted in full.
    """
    earlier, behind = make.earlier(PARITY), make.once(_behind)
    gaps = load_records(Gap, earlier.path / GAPS) if earlier else []
    today = [_gap(discover()[name], make, start, behind[name]) for name, start in make.once(_starts).items()]
    save_records([*gaps, *today], make.directory / GAPS)
    return Built(_headline(today, make.form.max_gap))


@dg.asset_check(asset=PARITY.split("/"))
def continued_models_keep_up(context: dg.AssetCheckExecutionContext, store: StoreResource) -> dg.AssetCheckResult:
    """No continued model is behind a full fit by more than `max_gap`; days without a full fit compare nothing.

    A step of its own, which fails the run and keeps nobody from the day's page, where the gap is to be seen.
    """
    manifest = store.open().get(PARITY, context.op_execution_context.partition_key).manifest
    figures = manifest.metrics
    if figures["problem"]:
        raise ModelError(figures["problem"])
    gaps = [figures[f"{name}_gap"] for name in figures["compared"].split() if f"{name}_gap" in figures]
    numbers = at_most(max(gaps), manifest.recipe.config["max_gap"]) if gaps else {}
    return dg.AssetCheckResult(passed=True, metadata={"compared": figures["compared"], **numbers})


def _start(spec: ModelSpec, make: Make) -> Artifact | None:
    """What a model that was fitted in full could have gone on from."""
    model = make[f"models/{spec.name}"].manifest
    if any(ref.key == model.recipe.key for ref in model.recipe.inputs):
        return None
    inputs = [make[key] for key in inputs_of(spec)]
    return plan_fit(make.store, spec, make.partition, inputs, model.recipe.config).earlier


def _gap(spec: ModelSpec, make: Make, start: Artifact, behind: list[Artifact]) -> Gap:
    full, own, config = make[f"models/{spec.name}"], [make[key] for key in inputs_of(spec)], make.form
    train = training_data(spec, own)
    continued = fit_of(spec, start)(train, fitted_config(full), full.manifest.recipe.config["seed"])
    model = spec.load(full.path)
    if spec.data == "interactions":
        folds = [
            Fold.load(one.path).train_and_validation for one in behind if one.manifest.recipe.key == inputs_of(spec)[0]
        ]
        test = Fold.load(own[0].path).test
        compared = compare_rankings(model, continued, train, test, folds, config.seed, config.n_resamples)
    else:
        data, look_folds = LookData.load(own[1].path), LookFolds.load(own[0].path)
        compared = compare_looks(model, continued, data, look_folds, config.seed, config.n_resamples)
    since = make.day - date.fromisoformat(start.manifest.metrics["full_fit_day"])
    return compared.of(make.partition, spec.name, since.days)


def _headline(today: list[Gap], max_gap: float) -> dict[str, Any]:
    """The gaps by model, which are too large, and what is to be done."""
    beyond = [gap for gap in today if gap.is_beyond(max_gap)]
    for gap in today:
        steps.info("  %s: continued %.4f, full %.4f", gap.model, gap.continued, gap.full)
    told = "; ".join(
        f"{gap.model} of {gap.day}, continued for {gap.days} days, is {gap.gap:.4f} [{gap.low:.4f}, {gap.high:.4f}] "
        f"behind a full fit in {plots.metric_label(gap.metric, gap.k)}"
        for gap in beyond
    )
    problem = (
        f"{told}: more than max_gap = {max_gap:g}. The next day is fitted in full; raise warm_epochs" if told else ""
    )
    figures = {
        f"{gap.model}_{name}": getattr(gap, name) for gap in today for name in ("gap", "low", "high", "left_out")
    }
    return {**figures, "compared": " ".join(gap.model for gap in today) or "nothing: no full fit today",
            BEHIND: " ".join(gap.model for gap in beyond), "problem": problem}  # fmt: skip

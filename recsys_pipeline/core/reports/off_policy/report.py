"""The off-policy report as a record with files: policies, positions, popularity-weighted ranking, and its facts."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int32, Int64

from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.recommenders import Recommender
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline.core.reports.accuracy.ranking_report import load_records, save_records
from recsys_pipeline.core.reports.accuracy.resampling import INTERVAL, N_RESAMPLES, Estimate, bootstrap_sums
from recsys_pipeline.core.reports.off_policy.click_metrics import PositionEffect, position_effects
from recsys_pipeline.core.reports.off_policy.estimators import PolicyEstimate
from recsys_pipeline.core.reports.off_policy.logged_feedback import LoggedFeedback
from recsys_pipeline.core.reports.off_policy.propensity import PowerLaw, fit_power_law, weighted_ranking_metrics
from recsys_pipeline.core.reports.off_policy.study import (
    OffPolicyConfig,
    Truth,
    evaluate_policies,
    model_policies,
    plain_policies,
    sampled_requests,
)

KS = (10, 20)
_FACTS = "facts.json"


@dataclass(frozen=True)
class History:
    """What was known before the studied day, and what the day brought, in one id space."""

    before: Ratings
    today: Ratings
    models: Mapping[str, Recommender]
    """Fitted on `before` alone: a model that saw the day's clicks would be flattered by its log."""
    shown: Int64[np.ndarray, " items"]
    """Impressions of each item that day; its interactions, where the source logs no impressions."""


@dataclass(frozen=True)
class OffPolicyReport:
    """What the page and the metadata read."""

    estimates: list[PolicyEstimate]
    """Empty where the log carries no propensities."""
    positions: list[PositionEffect]
    weighted: list[Estimate]
    """Recall and NDCG per model, plain and with popular items weighed down (`weighted recall`)."""
    power_law: PowerLaw
    """Of the day's impressions (of its interactions, where no impressions are logged) over earlier popularity."""
    n_requests: int
    n_impressions: int
    n_unlogged: int
    """Impressions without a propensity."""
    n_actions: int
    """Items that the policies choose from."""

    def save(self, directory: Path) -> None:
        """Write three tables and the facts."""
        for name in ("estimates", "positions", "weighted"):
            save_records(getattr(self, name), directory / f"{name}.parquet")
        facts = {name: getattr(self, name) for name in ("n_requests", "n_impressions", "n_unlogged", "n_actions")}
        (directory / _FACTS).write_text(json.dumps({**facts, "power_law": asdict(self.power_law)}, indent=1))

    @classmethod
    def load(cls, directory: Path) -> "OffPolicyReport":
        """Read what `save` wrote."""
        facts = json.loads((directory / _FACTS).read_text())
        return cls(
            estimates=load_records(PolicyEstimate, directory / "estimates.parquet"),
            positions=load_records(PositionEffect, directory / "positions.parquet"),
            weighted=load_records(Estimate, directory / "weighted.parquet"),
            power_law=PowerLaw(**facts.pop("power_law")),
            **facts,
        )

    @property
    def headline_figures(self) -> dict[str, float]:
        """The doubly robust value of each policy, for manifests and runs."""
        return {f"{row.policy} doubly_robust": row.value for row in self.estimates if row.estimator == "doubly_robust"}


def study_log(
    feedback: LoggedFeedback,
    history: History,
    actions: Int32[np.ndarray, " actions"],
    config: OffPolicyConfig,
    seed: int,
    truth: Truth | None = None,
    examination: Callable[[int], float] | None = None,
) -> OffPolicyReport:
    """Everything that one day's log says about other policies; a log without propensities gives what it can.

    `actions` are the items that could be shown all day. Each of `history.models` gives a softmax and a greedy policy,
    and the last one's scores feed the reward model. `truth` and `examination` come from a source that knows them.
    """
    popularity = np.bincount(history.before.item, minlength=history.before.n_items)
    log = sampled_requests(feedback, config.max_requests, seed)
    estimates, positions = [], []
    if (log.position == 0).any():
        policies = plain_policies(actions, popularity[actions])
        for name, model in history.models.items():
            policies += [] if name == "popularity" else model_policies(name, model, actions, config)
        scorer = list(history.models.values())[-1]
        estimates = evaluate_policies(log, policies, scorer, len(popularity), config, seed, truth)
        positions = _with_truth(position_effects(log, seed, config.n_resamples), examination)
    law = fit_power_law(popularity, history.shown)
    return OffPolicyReport(
        estimates=estimates,
        positions=positions,
        weighted=weighted_estimates(history, law, seed),
        power_law=law,
        n_requests=len(np.unique(log.request)),
        n_impressions=len(log),
        n_unlogged=feedback.n_unlogged,
        n_actions=len(actions),
    )


def weighted_estimates(history: History, law: PowerLaw, seed: int, ks: Sequence[int] = KS) -> list[Estimate]:
    """Recall and NDCG of each model on the items that users took up that day, plain and with 1 / propensity as weight.

    Every item that a user had not seen competes; intervals resample users. Empty where the power law is undefined.
    """
    if not math.isfinite(law.exponent):
        return []
    propensity = law.propensity(np.bincount(history.before.item, minlength=history.before.n_items))
    rows = []
    for name, model in history.models.items():
        found = evaluate_ranking(model, history.before, history.today, ks, name=name).rows
        columns, values = [], []
        for prefix, chances in (("", np.ones(len(found.item))), ("weighted ", propensity[found.item])):
            _, metrics = weighted_ranking_metrics(found.user, found.places, chances, ks)
            columns += [(prefix + metric, k) for metric in metrics for k in ks]
            values += metrics.values()
        rows += _estimates(name, columns, np.concatenate(values, axis=1), seed)
    return rows


def _estimates(
    model: str, columns: Sequence[tuple[str, int]], values: Float64[np.ndarray, "users columns"], seed: int
) -> list[Estimate]:
    """The mean of each column with its bootstrap interval; all columns share each resample of users."""
    n = len(values)
    if not n:
        return [Estimate(model, *column, math.nan, math.nan, math.nan, 0) for column in columns]
    low, high = np.quantile(bootstrap_sums(values, seed, N_RESAMPLES) / n, INTERVAL, axis=0)
    means = values.mean(axis=0)
    return [
        Estimate(model, metric, k, float(means[i]), float(low[i]), float(high[i]), n)
        for i, (metric, k) in enumerate(columns)
    ]


def _with_truth(effects: list[PositionEffect], examination: Callable[[int], float] | None) -> list[PositionEffect]:
    if examination is None:
        return effects
    return [replace(row, truth=examination(row.position) / examination(0)) for row in effects]

"""What each sweep asset tunes: a model, on which inputs, and how a trial is trained, judged and compared."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from recsys_pipeline.adapters.store.artifact_store import Artifact
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.folds import Fold, Split
from recsys_pipeline.core.folds.k_fold import k_fold
from recsys_pipeline.core.folds.triplets import LookFolds
from recsys_pipeline.core.learning.looks.sweep_trials import LookTrials
from recsys_pipeline.core.learning.sweeps.baseline import Units, held_back, of_all_folds
from recsys_pipeline.core.learning.sweeps.fused import FusedTrials, Judge
from recsys_pipeline.core.learning.sweeps.protocol import Proposal, RunTrials
from recsys_pipeline.core.learning.sweeps.space import Sweep, parse_sweep
from recsys_pipeline.core.models import ModelSpec, discover
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.validation import UNIT_METRICS, validation_metrics, validation_units
from recsys_pipeline.core.reports.looks.look_scorers import TowerScorer
from recsys_pipeline.core.reports.looks.looks import pair_figures, scene_sums
from recsys_pipeline.defs.learning.forms import InteractionsSearchConfig, SearchConfig, sweep_form
from recsys_pipeline.defs.learning.in_use import sweep_key

LOOK_METRIC = "validation_accuracy"


@dataclass(frozen=True)
class Tuned:
    """A sweep asset: `trials(inputs, form, metric)` gives what runs its trials, which never see what is held back."""

    spec: ModelSpec
    inputs: tuple[str, ...]
    form: type[SearchConfig]
    metrics: tuple[str, ...]
    """That may decide, because single users or scenes have them."""
    trials: "partial[RunTrials]"
    units: "partial[Units]"
    """`units(inputs, form, metric, config)`: a config fitted anew, judged on what is held back."""
    unit: str
    """What that is, in the plural."""

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.spec.name

    @property
    def key(self) -> str:
        """Key of the asset."""
        return sweep_key(self.model)

    def parse(self, text: str, source: str, method: str | None = None) -> Sweep:
        """The sweep of a file's text; raises `SettingError` for one that this model cannot run."""
        sweep = parse_sweep(text, self.spec.config, source, method)
        if sweep.metric not in self.metrics:
            raise SettingError(
                f"{source}: metric.name must be one of {', '.join(self.metrics)}, by which single {self.unit} are "
                f"compared with the settings in use, got {sweep.metric!r}"
            )
        return sweep

    @property
    def needs(self) -> str:
        """What a source must have."""
        return self.spec.data


def _trials(
    spec: ModelSpec, inputs: Sequence[Artifact], form: InteractionsSearchConfig, metric: str,
    judge: Judge = validation_metrics, steers: bool = True,
) -> FusedTrials:  # fmt: skip
    """Judged on the users that steer, or on those that are held back."""
    known, splits = _known_and_splits(inputs, form)
    tested = np.unique(np.concatenate([split.test for split in splits]))
    away = np.zeros(len(known), bool)
    away[tested] = held_back(known.user[tested], form.seed)
    parts = [dataclasses.replace(split, test=split.test[away[split.test] != steers]) for split in splits]
    return FusedTrials(known, parts, form.seed, metric, judge, spec.fit)


def _known_and_splits(inputs: Sequence[Artifact], form: InteractionsSearchConfig) -> tuple[Ratings, list[Split]]:
    fold = Fold.load(inputs[0].path)
    known, n_train = fold.train_and_validation, len(fold.train)
    if form.validation == "cross_validation":
        return known, k_fold(known, form.n_folds, form.seed)
    return known, [Split(train=np.arange(n_train), test=np.arange(n_train, len(known)))]


def _units(
    spec: ModelSpec, inputs: Sequence[Artifact], form: InteractionsSearchConfig, metric: str, config: Any
) -> Units:
    found: list[Units] = []

    def keep(model: Any, train: Ratings, validation: Ratings) -> dict[str, float]:
        found.append(validation_units(model, train, validation, metric))
        return {}

    (outcomes,) = _trials(spec, inputs, form, metric, keep, steers=False)([Proposal(0, {}, config)], None)
    if outcomes[0].error:
        raise ModelError(f"{spec.name} was fitted once and failed when it was fitted again: {outcomes[0].error}")
    return of_all_folds(found)


def _look_trials(spec: ModelSpec, inputs: Sequence[Artifact], form: SearchConfig, metric: str) -> LookTrials:
    train = LookFolds.load(inputs[0].path).for_training(LookData.load(inputs[1].path))
    rows = train.validation_rows
    steering = rows[~held_back(train.data.scene[rows], form.seed)]
    return LookTrials(spec.fit, dataclasses.replace(train, validation_rows=steering), form.seed, metric)


def _look_units(spec: ModelSpec, inputs: Sequence[Artifact], form: SearchConfig, metric: str, config: Any) -> Units:
    """Over the fold's fixed negatives of a pair's category."""
    folds, data = LookFolds.load(inputs[0].path), LookData.load(inputs[1].path)
    away = held_back(data.scene[folds.validation], form.seed)
    rows, negatives = folds.validation[away], folds.validation_negatives[away]
    model = _look_trials(spec, inputs, form, metric).fit_again(config)
    figures = pair_figures(spec.name, TowerScorer(model, data), data, rows, negatives)
    sums, counts = scene_sums(figures.values, figures.scenes)
    column = figures.columns.index(("same_category_accuracy", 0))
    defined = counts[:, column] > 0
    return Units(np.unique(figures.scenes)[defined].astype(np.int64), sums[defined, column], counts[defined, column])


TRAINED_ON = {"interactions": ("folds/prequential",), "looks": ("folds/triplets", "dataset/looks")}
"""Keys of what a model is fitted on, by its kind of data: its fold, and what that does not hold."""


def tuned_of(spec: ModelSpec) -> Tuned:
    """The sweep of a registered model."""
    inputs, form = TRAINED_ON[spec.data], sweep_form(spec)
    if spec.data == "looks":
        parts = partial(_look_trials, spec), partial(_look_units, spec)
        return Tuned(spec, inputs, form, (LOOK_METRIC,), *parts, "scenes")
    return Tuned(spec, inputs, form, UNIT_METRICS, partial(_trials, spec), partial(_units, spec), "users")


TUNED: Mapping[str, Tuned] = {
    sweep_key(spec.name): tuned_of(spec) for spec in discover().values() if dataclasses.fields(spec.config)
}
"""By key of the asset; models without a setting have none."""

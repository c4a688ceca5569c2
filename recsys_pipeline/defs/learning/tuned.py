"""What each sweep asset tunes: a model, on which inputs, and how a trial is trained and judged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys_pipeline.adapters.store import Artifact
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.folds import Fold, Split
from recsys_pipeline.core.folds.k_fold import k_fold
from recsys_pipeline.core.folds.triplets import LookFolds
from recsys_pipeline.core.learning.looks.sweep_trials import LookTrials
from recsys_pipeline.core.learning.sweeps.fused import FusedTrials
from recsys_pipeline.core.learning.sweeps.sweep import RunTrials
from recsys_pipeline.core.models import ModelSpec, discover
from recsys_pipeline.core.reports.accuracy.validation import validation_metrics
from recsys_pipeline.defs.learning.forms import SearchConfig, StlSweepConfig, SweepConfig


@dataclass(frozen=True)
class Tuned:
    """A sweep asset: `trials(inputs, form, metric)` gives what runs its trials."""

    model: str
    needs: str
    """What a source must have, as of an asset."""
    inputs: tuple[str, ...]
    form: type[SearchConfig]
    trials: Callable[[Sequence[Artifact], Any, str], RunTrials]

    @property
    def key(self) -> str:
        """Key of the asset."""
        return f"learning/{self.model}_sweep"

    @property
    def spec(self) -> ModelSpec:
        """The registered model."""
        return discover()[self.model]


def _als_trials(inputs: Sequence[Artifact], form: SweepConfig, metric: str) -> RunTrials:
    fold = Fold.load(inputs[0].path)
    known, splits = fold.train_and_validation, _splits(fold, form)
    return FusedTrials(known, splits, form.seed, metric, validation_metrics, discover()["als"].fit)


def _splits(fold: Fold, form: SweepConfig) -> list[Split]:
    if form.validation == "cross_validation":
        return k_fold(fold.train_and_validation, form.n_folds, form.seed)
    n_train, n_known = len(fold.train), len(fold.train) + len(fold.validation)
    return [Split(train=np.arange(n_train), test=np.arange(n_train, n_known))]


def _stl_trials(inputs: Sequence[Artifact], form: StlSweepConfig, metric: str) -> RunTrials:
    train = LookFolds.load(inputs[0].path).for_training(LookData.load(inputs[1].path))
    return LookTrials(discover()["stl"].fit, train, form.seed, metric)


ALS = Tuned("als", "interactions", ("folds/prequential",), SweepConfig, _als_trials)
STL = Tuned("stl", "looks", ("folds/triplets", "dataset/looks"), StlSweepConfig, _stl_trials)
TUNED: Mapping[str, Tuned] = {tuned.key: tuned for tuned in (ALS, STL)}

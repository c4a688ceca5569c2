"""Which settings a model has in use on a day: what its sweeps found, and of which trial that is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from recsys_pipeline.adapters.store import Artifact, ArtifactStore
from recsys_pipeline.core.learning.configs import parse_config
from recsys_pipeline.core.models import ModelSpec

BEST_CONFIG, TAKEN_TRIAL, BASELINE = "best_config", "taken_trial", "baseline"
"""Metrics of a sweep: the settings that models take; the trial that they are, 0 where those in use stay; and where
those in use were from, in words."""
FORM = "the form"
"""`BASELINE` of a sweep before which no other had found anything."""


@dataclass(frozen=True)
class TunedConfig:
    """What the sweeps of a model give it."""

    config: Any
    sweep: Artifact
    """Where `config` is from: an input of what is made with it."""
    trial: int | None
    """Of that sweep; 0 is what was in use before it, where nothing better was found; None where it does not say."""

    @property
    def origin(self) -> str:
        """The trial that found these settings, in words, whatever later sweep left them in use."""
        if self.trial == 0:
            return str(self.sweep.manifest.metrics[BASELINE])
        recipe = self.sweep.manifest.recipe
        trial = "the best trial" if self.trial is None else f"trial {self.trial}"
        return f"{trial} of {recipe.key}@{recipe.partition}"


def sweep_key(model: str) -> str:
    """Key of the sweep asset that tunes a model."""
    return f"learning/{model}_sweep"


def tuned_config(store: ArtifactStore, spec: ModelSpec, day: str) -> TunedConfig | None:
    """The settings that `models/<name>` takes on a day of its sweeps; None where it takes those of its form.

    They are those of the newest sweep at or before the day. A sweep that found nothing better than the form's values
    gives nothing, so that the form keeps its say: what an earlier sweep gave holds.
    """
    giving = (sweep for sweep in _newest_first(store, spec, day) if gives_settings(sweep))
    return next((tuned_by_sweep(spec, sweep) for sweep in giving), None)


def tuned_by_sweep(spec: ModelSpec, sweep: Artifact) -> TunedConfig:
    """What one sweep gives."""
    metrics = sweep.manifest.metrics
    config = parse_config(spec.config, metrics[BEST_CONFIG], sweep.manifest.recipe.key)
    return TunedConfig(config, sweep, metrics.get(TAKEN_TRIAL))


def gives_settings(sweep: Artifact) -> bool:
    """Whether a sweep found something, or left in use what another one had found."""
    metrics = sweep.manifest.metrics
    return metrics.get(TAKEN_TRIAL) != 0 or metrics[BASELINE] != FORM


def _newest_first(store: ArtifactStore, spec: ModelSpec, day: str) -> Iterator[Artifact]:
    key = sweep_key(spec.name)
    found = store.current(key, day) or store.latest(key, before=day)
    while found is not None:
        yield found
        found = store.latest(key, before=found.manifest.recipe.partition)

"""Which settings a model has in use on a day: those of a trial of its sweeps, or those of its form."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from recsys_pipeline.adapters.store import Artifact, ArtifactStore
from recsys_pipeline.core.learning.configs import parse_config
from recsys_pipeline.core.models import ModelSpec

BEST_CONFIG, TAKEN_TRIAL, BASELINE = "best_config", "taken_trial", "baseline"
"""Metrics of a sweep: the settings that models take; the trial that they are, 0 where those in use stay; and where
those in use were from, in words."""
FORM, FIELD = "the form of the model", "the field `baseline`"
"""Values of `BASELINE` where no earlier sweep gave the settings in use."""


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


@dataclass(frozen=True)
class InUse:
    """Settings that a model has in use, and in words where they are from."""

    config: Any
    origin: str


def sweep_key(model: str) -> str:
    """Key of the sweep asset that tunes a model."""
    return f"learning/{model}_sweep"


def tuned_config(store: ArtifactStore, spec: ModelSpec, day: str) -> TunedConfig | None:
    """The settings that `models/<name>` takes on a day of its sweeps; None where it takes those of its form.

    They are those of the newest sweep at or before the day. A sweep that found nothing better than the form's values
    gives nothing, so that the form keeps its say: what an earlier sweep gave holds.
    """
    giving = (sweep for sweep in _newest_first(store, spec, day) if _gives_settings(sweep))
    return next((tuned_by_sweep(spec, sweep) for sweep in giving), None)


def tuned_by_sweep(spec: ModelSpec, sweep: Artifact) -> TunedConfig:
    """What one sweep gives."""
    metrics = sweep.manifest.metrics
    config = parse_config(spec.config, metrics[BEST_CONFIG], sweep.manifest.recipe.key)
    return TunedConfig(config, sweep, metrics.get(TAKEN_TRIAL))


def settings_in_use(store: ArtifactStore, spec: ModelSpec, day: str) -> InUse:
    """What `models/<name>` takes on a day if nobody says otherwise."""
    tuned = tuned_config(store, spec, day)
    return InUse(tuned.config, tuned.origin) if tuned else settings_of_form(spec)


def settings_of_form(spec: ModelSpec) -> InUse:
    """What a model takes where no sweep gave it anything."""
    return InUse(spec.config(), FORM)


def in_use_before(store: ArtifactStore, spec: ModelSpec, day: str, form: Mapping[str, Any]) -> InUse:
    """What is in use before a sweep of a day with this form (that of its recipe, without `BASELINE`).

    A sweep that is run again is compared with what it was compared with, and not with what it found itself; another
    sweep of the same day with what the one before it found.
    """
    own = store.current(sweep_key(spec.name), day)
    if own is None or own.manifest.metrics.get(BASELINE, FIELD) == FIELD:
        return settings_in_use(store, spec, day)
    config, origin = own.manifest.recipe.config, own.manifest.metrics[BASELINE]
    if {name: value for name, value in config.items() if name != BASELINE} != form:
        return settings_in_use(store, spec, day)
    if origin == FORM:
        return settings_of_form(spec)
    return InUse(parse_config(spec.config, config[BASELINE], own.manifest.recipe.key), origin)


def _gives_settings(sweep: Artifact) -> bool:
    """Whether a sweep found something, or left in use what another one had found."""
    metrics = sweep.manifest.metrics
    return metrics.get(TAKEN_TRIAL) != 0 or metrics[BASELINE] not in (FORM, FIELD)


def _newest_first(store: ArtifactStore, spec: ModelSpec, day: str) -> Iterator[Artifact]:
    key = sweep_key(spec.name)
    found = store.current(key, day) or store.latest(key, before=day)
    while found is not None:
        yield found
        found = store.latest(key, before=found.manifest.recipe.partition)

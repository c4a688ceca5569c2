"""Which settings a model has in use on a day: the deployment's, and over them what its sweeps found."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.adapters.store.retention import FOUND
from recsys_pipeline.core.configs import parse_config
from recsys_pipeline.core.models import ModelSpec
from recsys_pipeline.defs.deployed_settings import FORMS

BASELINE = "baseline"
"""Field of a sweep's form and of its recipe: the settings that its trials start from and are compared with."""
BEST_CONFIG, TAKEN_TRIAL, IN_USE = "best_config", "taken_trial", "in_use"
"""Metrics of a sweep besides `FOUND` (what of its settings sweeps have found, this one or those before it): all of its
settings; the trial that they are, 0 where those in use stay; and what was in use before it."""
DEPLOYED, FIELD = "the deployment's settings", "the field `baseline`"
"""Where settings in use are from that no sweep found."""
USE_SWEEP = "use_sweep"


@dataclass(frozen=True)
class TunedConfig:
    """What the sweeps of a model give it."""

    found: Mapping[str, Any]
    """Fields of its config; of the others nothing is known but what the deployment says."""
    sweep: Artifact
    """Where that is from: an input of what is made with it."""
    trial: int | None
    """Of that sweep; 0 is what was in use before it, where nothing better was found; None where it does not say."""

    @property
    def origin(self) -> str:
        """The trial that found these settings, in words, whatever later sweep left them in use."""
        if self.trial == 0:
            return str(self.sweep.manifest.metrics[IN_USE]["origin"])
        recipe = self.sweep.manifest.recipe
        trial = "the best trial" if self.trial is None else f"trial {self.trial}"
        return f"{trial} of {recipe.key}@{recipe.partition}"


@dataclass(frozen=True)
class InUse:
    """Settings that a model has in use, in words where they are from, and what of them sweeps have found."""

    config: Any
    origin: str
    found: Mapping[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """What a sweep tells of them."""
        return {"origin": self.origin, FOUND: dict(self.found)}


def sweep_key(model: str) -> str:
    """Key of the sweep asset that tunes a model."""
    return f"learning/{model}_sweep"


def tuned_config(store: ArtifactStore, spec: ModelSpec, day: str) -> TunedConfig | None:
    """What the sweeps of a model give `models/<name>` on a day; None where they give nothing.

    It is what the newest sweep at or before the day found, or left in use of what one before it had found. A sweep that
    found nothing better than the deployment's settings gives nothing, so that those keep their say.
    """
    for sweep in _newest_first(store, spec, day):
        metrics = sweep.manifest.metrics
        if found := metrics.get(FOUND, metrics[BEST_CONFIG]):
            return TunedConfig(found, sweep, metrics.get(TAKEN_TRIAL))
    return None


def settings_in_use(store: ArtifactStore, spec: ModelSpec, day: str) -> InUse:
    """What a run of a day that says nothing itself fits a model with."""
    deployed = _deployed(spec)
    tuned = tuned_config(store, spec, day) if deployed.get(USE_SWEEP, True) else None
    return _over(spec, tuned.origin, tuned.found) if tuned else _over(spec, DEPLOYED, {})


def in_use_before(store: ArtifactStore, spec: ModelSpec, day: str, form: Mapping[str, Any]) -> InUse:
    """What is in use before a sweep of a day with this form (that of its recipe, without `BASELINE`).

    A sweep that is run again is compared with what it was compared with, and not with what it found itself; another
    sweep of the same day with what the one before it found.
    """
    own = store.current(sweep_key(spec.name), day)
    before = own.manifest.metrics.get(IN_USE) if own else None
    if own is None or before is None or before["origin"] == FIELD or _form(own) != form:
        return settings_in_use(store, spec, day)
    return _over(spec, before["origin"], before[FOUND])


def given_baseline(spec: ModelSpec, values: Mapping[str, Any]) -> InUse:
    """What somebody wants compared with, in place of what is in use; other fields are the deployment's."""
    return _over(spec, FIELD, values)


def found_by(in_use: InUse, chosen: Mapping[str, Any], is_taken: bool) -> dict[str, Any]:
    """What sweeps have found once this one is over; `chosen` are the fields that it searched.

    Settings that were given by hand are in use nowhere: they are handed on with a trial that is better only.
    """
    if is_taken:
        return {**in_use.found, **chosen}
    return {} if in_use.origin == FIELD else dict(in_use.found)


def _over(spec: ModelSpec, origin: str, found: Mapping[str, Any]) -> InUse:
    """Settings over those of the deployment."""
    deployed = _deployed(spec)
    values = {one.name: deployed[one.name] for one in fields(spec.config)}
    return InUse(parse_config(spec.config, {**values, **found}, sweep_key(spec.name)), origin, found)


def _deployed(spec: ModelSpec) -> Mapping[str, Any]:
    form = FORMS.get(f"models/{spec.name}")
    return form.values if form else asdict(spec.config())


def _form(sweep: Artifact) -> dict[str, Any]:
    return {name: value for name, value in sweep.manifest.recipe.config.items() if name != BASELINE}


def _newest_first(store: ArtifactStore, spec: ModelSpec, day: str) -> Iterator[Artifact]:
    key = sweep_key(spec.name)
    found = store.current(key, day) or store.latest(key, before=day)
    while found is not None:
        yield found
        found = store.latest(key, before=found.manifest.recipe.partition)

"""Which settings a release was made with, where each is from, and where they are not the deployment's: an experiment.

Values are compared, not a run's config: an artifact that an earlier run made with other settings is an experiment
wherever it is used again, and a value that has since been put into the file is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recsys_pipeline.adapters.intake.meaning_of_days import MEANING
from recsys_pipeline.adapters.lineage.manifest_differences import SOURCE
from recsys_pipeline.adapters.lineage.upstream import upstream_of_the_day
from recsys_pipeline.adapters.serving.releases import decision_of
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.adapters.store.manifest import Manifest, to_json
from recsys_pipeline.core.models import discover
from recsys_pipeline.defs.declarations import load_forms
from recsys_pipeline.defs.deployed_settings import FORM, FORMS
from recsys_pipeline.defs.model_settings import deployed_settings

SWEEPS = "learning/"
"""What a sweep found is the deployment's, whatever the sweep's own form said."""
MODELS = "models/"
NO_SETTINGS = (SOURCE, MEANING)
"""Entries of recipes that nobody sets in a form."""


@dataclass(frozen=True)
class Setting:
    """A value with which an artifact was made, and whence."""

    value: Any
    origin: str = ""
    """Empty where the manifest is of a time that did not write it down."""

    def told(self) -> str:
        """In words."""
        return f"{self.value}" + (f" ({self.origin})" if self.origin else "")


def settings_behind(store: ArtifactStore, manifest: Manifest) -> dict[str, Setting]:
    """Every setting of an artifact and of what it was made from on its day, as `models/als.reg`; nearest first."""
    return {
        f"{key}.{name}": Setting(value, one.origins.get(name, ""))
        for key, one in upstream_of_the_day(store, manifest, leave_out=[SWEEPS]).items()
        for name, value in one.recipe.config.items()
        if name not in NO_SETTINGS
    }


@dataclass(frozen=True)
class Departure:
    """A setting that is not what the deployment would give now."""

    name: str
    """As `models/als.reg`."""
    made: Setting
    deployed: Setting

    def told(self) -> str:
        """In words."""
        return f"{self.name} is {self.made.told()}, the deployment's is {self.deployed.told()}"


def departures(store: ArtifactStore, manifest: Manifest) -> list[Departure]:
    """The settings behind an artifact that a run of its day would not take now by itself.

    Fields that a form no longer has, or did not have then, are no settings that anybody could give.
    """
    found, forms = [], dict[str, Mapping[str, Setting]]()
    for name, made in settings_behind(store, manifest).items():
        key, _, field = name.rpartition(".")
        if key not in forms:
            forms[key] = deployment_gives(store, key, manifest.recipe.partition)
        deployed = forms[key].get(field)
        if deployed is not None and not is_same(made.value, deployed.value):
            found.append(Departure(name, made, deployed))
    return found


def was_experiment(store: ArtifactStore, release: Artifact) -> bool:
    """Whether a stored release is an experiment, by what its decision was made from."""
    decided = decision_of(store, release.manifest.recipe.partition, release.manifest.digest)
    return is_experiment(store, decided or release)


def is_experiment(store: ArtifactStore, artifact: Artifact) -> bool:
    """Whether there are values of a run's own form behind an artifact that the deployment does not give.

    What was the deployment's when it was made, and is not any more, makes no experiment of it. Only where a run's own
    form had a say are the forms of all assets loaded, which takes seconds.
    """
    own = {name for name, one in settings_behind(store, artifact.manifest).items() if one.origin == FORM}
    if not own:
        return False
    load_forms()
    return any(one.name in own for one in departures(store, artifact.manifest))


def deployment_gives(store: ArtifactStore, key: str, day: str) -> Mapping[str, Setting]:
    """The fields of an asset as a run of the day takes them that says nothing: code, file, and what a sweep found."""
    if key not in FORMS:
        return {}
    spec = discover().get(key.removeprefix(MODELS)) if key.startswith(MODELS) else None
    given = deployed_settings(store, spec, day) if spec else FORMS[key]
    return {name: Setting(value, given.origins[name]) for name, value in given.values.items()}


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are one setting: a tuple comes back from a manifest as a list."""
    return to_json(one) == to_json(other)

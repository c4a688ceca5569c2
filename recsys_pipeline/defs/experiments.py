"""Which settings a release was made with, where each is from, and where they are not the deployment's: an experiment.

Values are compared, not a run's config: an artifact that an earlier run made with other settings is an experiment
wherever it is used again, and a value that has since been put into the file is none.
"""

from dataclasses import dataclass
from typing import Any

from recsys_pipeline.adapters.manifest import Manifest, to_json
from recsys_pipeline.adapters.manifest_differences import SOURCE
from recsys_pipeline.adapters.meaning_of_days import MEANING
from recsys_pipeline.adapters.store import ArtifactStore
from recsys_pipeline.adapters.upstream import upstream_of_the_day

SWEEPS = "learning/"
"""What a sweep found is the deployment's, whatever the sweep's own form said."""
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


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are one setting: a tuple comes back from a manifest as a list."""
    return to_json(one) == to_json(other)

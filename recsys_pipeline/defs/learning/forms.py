"""The Launchpad forms of sweeps."""

from typing import Any, Literal

import dagster as dg
from pydantic import Field, create_model

from recsys_pipeline.core.learning.sweeps.fused import FactorizationConfig
from recsys_pipeline.core.learning.sweeps.protocol import Limits
from recsys_pipeline.core.models import ModelSpec
from recsys_pipeline.defs.shown import seed_field

FILE = "A sweep YAML in W&B's format; its metric decides."


class SearchConfig(dg.Config):
    """Which sweep to run, by whom, and how long."""

    file: str = Field(description=FILE)
    method: Literal["file", "grid", "random", "bayes"] = Field("file", description="In place of the file's method.")
    n_trials: int = Field(20, ge=1, description="Trials at most, of all processes together, besides trial 0.")
    max_minutes: float = Field(
        0.0, ge=0, description="At most so many minutes: no trial starts that is expected to end later; 0: no limit."
    )
    budget_epochs: int = Field(0, ge=0, description="No trial starts after so many epochs of all trials; 0: no limit.")
    engine: Literal["auto", "offline", "wandb"] = Field(
        "auto",
        description="Who proposes trials: W&B's server, so that other machines may join with `recsys sweep agent`, or "
        "Optuna in this process. auto: W&B where it is online, and Optuna where it is not.",
    )
    wandb_sweep: str = Field("", description="Id of a W&B sweep of the same file to join; empty: make one.")
    baseline: dict[str, Any] = Field(
        {}, description="Settings to try first and to compare the best trial with, in place of those in use."
    )
    seed: int = seed_field("Seed of the search, of the validation and of every fit.")

    @property
    def at_once(self) -> int:
        """Trials that are proposed together."""
        return 1

    @property
    def chosen_method(self) -> str | None:
        """The method in place of the file's."""
        return None if self.method == "file" else self.method

    @property
    def limits(self) -> Limits:
        """Where the sweep ends besides its number of trials."""
        return Limits(60 * self.max_minutes or float("inf"), float(self.budget_epochs or "inf"))


class LooksSearchConfig(SearchConfig):
    """Which sweep of a model of looks to run, by whom, and how long."""

    n_trials: int = Field(
        8, ge=1, description="Trials at most, of all processes together, besides trial 0; each is a whole training."
    )


class InteractionsSearchConfig(SearchConfig):
    """Which sweep of a model of interactions to run, by whom, and how long."""

    validation: Literal["prequential", "cross_validation"] = Field(
        "prequential",
        description="What decides: the validation rows of the fold (each user's latest before the test rows), or "
        "cross-validation over train and validation rows, which ignores time.",
    )
    n_folds: int = Field(5, ge=2, description="Folds of the cross-validation; the mean over them decides.")


class FusedSearchConfig(InteractionsSearchConfig):
    """Which sweep of matrix factorisation to run, by whom, and how long."""

    trials_at_once: int = Field(
        8,
        ge=1,
        description="Trials that are drawn together and trained as one program. More is faster and needs more memory; "
        "fewer lets Bayesian search learn more often.",
    )

    @property
    def at_once(self) -> int:
        """Trials that are proposed together."""
        return self.trials_at_once


def sweep_form(spec: ModelSpec) -> type[SearchConfig]:
    """The form of a registered model's sweep."""
    base: type[SearchConfig] = LooksSearchConfig if spec.data == "looks" else InteractionsSearchConfig
    if isinstance(spec.config(), FactorizationConfig):
        base = FusedSearchConfig
    file = f"conf/sweeps/{spec.sweep_file or spec.name}.yaml"
    return create_model(
        f"{spec.config.__name__.removesuffix('Config')}SweepForm",
        __base__=base,
        __doc__=base.__doc__,
        file=(str, Field(file, description=FILE)),
    )

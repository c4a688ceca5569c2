"""The Launchpad forms of sweeps."""

from typing import Literal

import dagster as dg
from pydantic import Field

from recsys_pipeline.core.learning.sweeps.sweep import Limits
from recsys_pipeline.defs.production import seed_field


class SearchConfig(dg.Config):
    """Which sweep to run, by whom, and how long."""

    file: str = Field(description="A sweep YAML in W&B's format; its metric decides.")
    method: Literal["file", "grid", "random", "bayes"] = Field("file", description="In place of the file's method.")
    n_trials: int = Field(20, ge=1, description="Trials at most, of all processes together.")
    time_limit_s: float = Field(0.0, ge=0, description="No trial starts after so many seconds; 0: no limit.")
    budget_epochs: int = Field(0, ge=0, description="No trial starts after so many epochs of all trials; 0: no limit.")
    engine: Literal["auto", "offline", "wandb"] = Field(
        "auto",
        description="Who proposes trials: W&B's server, so that other machines may join with `recsys sweep agent`, or "
        "Optuna in this process. auto: W&B where it is online, and Optuna where it is not.",
    )
    wandb_sweep: str = Field("", description="Id of a W&B sweep of the same file to join; empty: make one.")
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
        return Limits(self.time_limit_s or float("inf"), float(self.budget_epochs or "inf"))


class SweepConfig(SearchConfig):
    """Which sweep of matrix factorisation to run, by whom, and how long."""

    file: str = Field("conf/sweeps/als_ndcg.yaml", description="A sweep YAML in W&B's format; its metric decides.")
    trials_at_once: int = Field(
        8,
        ge=1,
        description="Trials that are drawn together and trained as one program. More is faster and needs more memory; "
        "fewer lets Bayesian search learn more often.",
    )
    validation: Literal["prequential", "cross_validation"] = Field(
        "prequential",
        description="What decides: the validation rows of the fold (each user's latest before the test rows), or "
        "cross-validation over train and validation rows, which ignores time.",
    )
    n_folds: int = Field(5, ge=2, description="Folds of the cross-validation; the mean over them decides.")

    @property
    def at_once(self) -> int:
        """Trials that are proposed together."""
        return self.trials_at_once


class StlSweepConfig(SearchConfig):
    """Which sweep of shop the look to run, by whom, and how long."""

    file: str = Field("conf/sweeps/stl.yaml", description="A sweep YAML in W&B's format; its metric decides.")
    n_trials: int = Field(8, ge=1, description="Trials at most, of all processes together; each is a whole training.")

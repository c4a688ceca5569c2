"""SVD++ and its flipped twin with time bins, as one regularised least-squares problem solved block by block.

The mode of what `bayesian_mf` samples, under penalties that are chosen and not learned: a fraction of the time and of
the size. The objective is written out in `core/learning/gibbs/modes.py`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.learning.gibbs.model import RatingModel, RatingModelConfig
from recsys_pipeline.core.learning.gibbs.modes import Modes, objective_value
from recsys_pipeline.core.learning.gibbs.posterior import centre, collect
from recsys_pipeline.core.learning.gibbs.sampler import Sampler, Schedule, in_rating_units, run_chain
from recsys_pipeline.core.models import ModelSpec
from recsys_pipeline.core.progress import Progress
from recsys_pipeline.core.ratings import Ratings


@dataclass(frozen=True)
class SvdppConfig(RatingModelConfig):
    """Settings; the penalties suit ratings of 1 to 5, whose squared errors they are weighed against.

    With `reg` and `history_reg` chosen on validation data, RMSE is .879 on MovieLens 100K (mean of the five official
    folds, 1.3 s each) and .825 on MovieLens 1M (five random folds, 8 s each): benchmarks/rating_ladder.py. Larger data
    takes larger penalties: `reg` 14 and `history_reg` 40 on 100K, 24 and 60 on 1M.
    """

    embedding_size: int = setting(31, "Number of factors per user and item.", ge=1, le=1024)
    reg: float = setting(16.0, "Penalty on how far a factor is from what the history says.", gt=0.0)
    bias_reg: float = setting(4.0, "The same of a bias.", gt=0.0)
    history_reg: float = setting(40.0, "Penalty on history vectors.", gt=0.0)
    frequency_power: float = setting(
        0.7, "ρ: rows are penalised in proportion to (count / mean count)^ρ.", ge=0.0, le=2.0
    )
    time_reg: float = setting(10.0, "Penalty on the biases of time bins.", gt=0.0)
    epochs: int = setting(20, "Sweeps over items, users and bins.", ge=1)

    __post_init__ = check_settings

    def modes(self) -> Modes:
        """The penalties."""
        return Modes(self.reg, self.bias_reg, self.history_reg, self.time_reg, self.frequency_power)


class SvdppModel(RatingModel):
    """One state, the mode."""

    name, config_type = "svdpp", SvdppConfig

    def row_scale(self, count: np.ndarray) -> Float32[np.ndarray, " users"]:
        """`(count / mean count)^ρ`, by the mean of the training users."""
        return self.config.modes().row_scale(count, self.posterior.mean_count)


def fit(train: Ratings, config: SvdppConfig, seed: int, progress: Progress | None = None) -> SvdppModel:
    """Minimise the objective; `progress` hears its value after each epoch (one more pass over the ratings).

    Raises:
        ModelError: the penalties are too small for float32 to solve the normal equations.
    """
    mean, _ = centre(train)
    values = train.value - np.float32(mean)
    chain = Sampler(train, values, config.terms(), config.modes(), np.random.default_rng([seed, 1]))
    kept = []
    for number, (state, is_last) in enumerate(run_chain(chain, Schedule(config.epochs - 1, samples=1, thin=1)), 1):
        if progress is not None:
            progress(f"epoch {number}/{config.epochs}", {"objective": objective_value(chain)})
        if is_last:
            kept.append(in_rating_units(state, mean, unit=1.0))
    return SvdppModel(config, collect(kept, train, config.terms().bins, with_draws=False), seed)


SPEC = ModelSpec("svdpp", SvdppConfig, fit, SvdppModel.load, daily=False)

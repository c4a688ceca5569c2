"""Bayesian matrix factorisation by Gibbs sampling: ratings with history terms and time bins, and how sure each one is.

The model and its sources are written out in `core/learning/gibbs/sampler.py`. There is no penalty to tune: precisions
have weak hyperpriors and are drawn with all else, and predictions are averaged over states of the chain. What remains
to be chosen is the number of dimensions and the length of the chain.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.gibbs.model import RatingModel, RatingModelConfig
from recsys_pipeline.core.learning.gibbs.posterior import sample_posterior
from recsys_pipeline.core.learning.gibbs.sampler import Schedule
from recsys_pipeline.core.learning.model_files import check_users
from recsys_pipeline.core.models import ModelSpec
from recsys_pipeline.core.progress import Progress
from recsys_pipeline.core.ratings import Ratings


@dataclass(frozen=True)
class BayesianMfConfig(RatingModelConfig):
    """Settings of the model and of its chain.

    RMSE is .880 on MovieLens 100K (8 factors, time bins, mean of the five official folds) and .826 on MovieLens 1M
    (20 factors, five random folds): benchmarks/rating_ladder.py.

    A fitted model holds `samples` × (2 × users + items) × (embedding_size + 1) float32, and with `user_history` as
    much again for the items.
    """

    embedding_size: int = setting(10, "Number of factors per user and item.", ge=1, le=256)
    burn_in: int = setting(30, "Sweeps before the first state that is kept.", ge=0)
    samples: int = setting(60, "States that are kept and averaged.", ge=1)
    thin: int = setting(3, "Sweeps from one kept state to the next.", ge=1)

    __post_init__ = check_settings


class BayesianMfModel(RatingModel):
    """Averages over kept states; `score_deviations` says how far the states disagree."""

    name, config_type = "bayesian_mf", BayesianMfConfig

    def score_deviations(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        """The posterior standard deviation of each score: how sure the model is of its mean, noise of a rating aside.

        It includes what is not known of users and items without ratings. Raises `ModelError` for unknown users, and
        where the model keeps a single state.
        """
        known = self.posterior
        check_users(users, known.users.shape[1])
        if len(known.user_draws) < 2:
            raise ModelError("a single state has no deviation: fit bayesian_mf with samples of at least 2")
        shape = (len(users), known.items.shape[1])
        mean, squares, unseen = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for at, (draws, items) in enumerate(zip(known.user_draws[:, users], known.items, strict=True)):
            design = np.concatenate([draws[:, :-1], np.ones((len(users), 1), np.float32)], axis=1)
            score = design @ items.T + draws[:, -1:]
            step = score - mean
            mean += step / (at + 1)
            squares += step * (score - mean)
            # Items without ratings stand at their prior mean: what they would be drawn with is added here.
            unseen += np.outer((design**2) @ (1 / known.item_precision[at]), ~known.item_seen)
        variance = squares / (len(known.users) - 1) + unseen / len(known.users)
        return np.sqrt(variance).astype(np.float32)


def fit(train: Ratings, config: BayesianMfConfig, seed: int, progress: Progress | None = None) -> BayesianMfModel:
    """Run the chain; `progress` hears the training RMSE of each sweep.

    Raises:
        ModelError: the values are so far apart that the normal equations are singular in float32.
    """
    schedule = Schedule(config.burn_in, config.samples, config.thin)
    return BayesianMfModel(config, sample_posterior(train, config.terms(), schedule, seed, progress), seed)


SPEC = ModelSpec("bayesian_mf", BayesianMfConfig, fit, BayesianMfModel.load, daily=False)

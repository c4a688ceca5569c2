"""Fit every mapper, judge each on items that are held out as if they were new, and choose."""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from recsys_pipeline.core.errors import ArtifactError, ModelError
from recsys_pipeline.core.files import read_json
from recsys_pipeline.core.learning.cold_start.config import ColdStartConfig
from recsys_pipeline.core.learning.cold_start.features import Design, ItemFeatures
from recsys_pipeline.core.learning.cold_start.mapper import FittedMapper, ItemMapper
from recsys_pipeline.core.learning.cold_start.means import category_means
from recsys_pipeline.core.learning.cold_start.network import fit_network
from recsys_pipeline.core.learning.cold_start.ridge import fit_ridge
from recsys_pipeline.core.learning.cold_start.score_space import ScoreSpace
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.recommenders import HasVectors

MAPPERS = ("category_mean", "ridge", "network")
"""From the plainest on."""
_CHOICE = "choice.json"
MIN_ITEMS = 20
"""Fewer items than this with the regressions' inputs leave too little to learn from and to hold out."""


@dataclass(frozen=True)
class ItemSpace:
    """What a model of vectors learned: vectors of items and users, and how many train interactions each item has.

    Items with a count of 0 are never learned from: their vectors are those of the solver's start.
    """

    item_vectors: Float32[np.ndarray, "items dim"]
    user_vectors: Float32[np.ndarray, "users dim"]
    counts: Int[np.ndarray, " items"]

    def __post_init__(self) -> None:
        if len(self.item_vectors) != len(self.counts):
            raise ModelError(f"{len(self.item_vectors)} item vectors and {len(self.counts)} counts: use one id map")

    @classmethod
    def of(cls, model: HasVectors, train: Ratings) -> "ItemSpace":
        """The space of a model of these rows; users without any of them are left out."""
        has_history = np.bincount(train.user, minlength=train.n_users) > 0
        counts = np.bincount(train.item, minlength=train.n_items)
        return cls(model.item_vectors(), model.user_vectors()[has_history], counts)


@dataclass(frozen=True)
class MapperError:
    """How much of the variance of scores of held-out items a mapper leaves unexplained; 1: as the mean of all items."""

    mapper: str
    error: float
    standard_error: float
    """Over items, of the difference to the best mapper's error; 0 for the best itself."""
    n: int
    """Items that were held out."""


@dataclass(frozen=True)
class ColdStart:
    """All fitted mappers, their errors on held-out items, and the one that is used."""

    mappers: dict[str, FittedMapper]
    errors: tuple[MapperError, ...]
    chosen: str
    note: str = ""
    """Why there are category means only; empty where all mappers were fitted."""

    @property
    def mapper(self) -> ItemMapper:
        """The mapper that is used."""
        return self.mappers[self.chosen]

    def unexplained(self) -> dict[str, float]:
        """Errors as metrics of a manifest."""
        return {f"{row.mapper}_unexplained": row.error for row in self.errors}

    def save(self, directory: Path) -> None:
        """Write each mapper into a folder of its name, and the choice."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, mapper in self.mappers.items():
            mapper.save(directory / name)
        errors = [dataclasses.asdict(row) for row in self.errors]
        document = {"chosen": self.chosen, "mappers": list(self.mappers), "errors": errors, "note": self.note}
        (directory / _CHOICE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> "ColdStart":
        """Read back what `save` wrote; raises `ArtifactError` where a file is missing or broken."""
        document = read_json(directory / _CHOICE)
        try:
            mappers = {name: FittedMapper.load(directory / name, name) for name in document["mappers"]}
            errors = tuple(MapperError(**row) for row in document["errors"])
            return cls(mappers, errors, document["chosen"], document["note"])
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{directory / _CHOICE} is broken ({error}): materialize it again") from error


def fit_cold_start(features: ItemFeatures, space: ItemSpace, config: ColdStartConfig, seed: int) -> ColdStart:
    """Fit the mappers on the items with train interactions, and choose one on items held out in turn.

    Each of `config.n_folds` parts of the items is mapped by mappers that learned from the other parts. The plainest
    mapper is chosen whose error is within one standard error of the best (Breiman et al., "Classification and
    Regression Trees", 1984, section 3.4.3). Where fewer than `MIN_ITEMS` items have what the regressions need, there
    are category means only, and no errors to choose by. Raises `ModelError` where no item or no user has a train
    interaction.
    """
    if len(features) != len(space.counts):
        raise ModelError(f"features of {len(features)} items, counts of {len(space.counts)}: use one id map")
    problem = _Problem.of(features, space, config, seed)
    nobody = np.zeros(len(features), bool)
    n_usable = int(problem.usable.sum())
    if n_usable < MIN_ITEMS:
        what = "a photo" if features.visual.shape[1] else "a category"
        note = (
            f"{n_usable} items with train interactions have {what}, and it takes {MIN_ITEMS} to learn a map: new items "
            "get the mean vector of their category, or of all items"
        )
        return ColdStart({MAPPERS[0]: problem.fit(MAPPERS[0], nobody)}, (), MAPPERS[0], note)
    errors, chosen = _judge(problem)
    return ColdStart({name: problem.fit(name, nobody) for name in MAPPERS}, errors, chosen)


@dataclass(frozen=True)
class _Problem:
    features: ItemFeatures
    vectors: Float32[np.ndarray, "items dim"]
    weights: Float64[np.ndarray, " items"]
    usable: Bool[np.ndarray, " items"]
    """Items that the regressions learn from."""
    design: Design
    space: ScoreSpace
    config: ColdStartConfig
    seed: int

    @classmethod
    def of(cls, features: ItemFeatures, space: ItemSpace, config: ColdStartConfig, seed: int) -> "_Problem":
        weights = np.where(space.counts > 0, np.maximum(space.counts, 1.0) ** config.weight_power, 0.0)
        image = ScoreSpace.of(space.item_vectors, space.user_vectors, weights)
        design = Design.of(features.take(space.counts > 0), config.use_categories)
        usable = design.usable(features) & (weights > 0)
        return cls(features, space.item_vectors, weights, usable, design, image, config, seed)

    def fit(self, name: str, held_out: Bool[np.ndarray, " items"]) -> FittedMapper:
        """One mapper, from the items that are not held out."""
        targets = self.space.encode(self.vectors)
        weights = np.where(held_out, 0.0, self.weights)
        means = category_means(self.features.categories, targets, weights)
        rows = np.flatnonzero(self.usable)
        regression = None
        if name != MAPPERS[0]:
            columns = self.design.columns(self.features.take(rows))
            fit = _ridge if name == "ridge" else _network
            regression = fit(columns, targets[rows], weights[rows], self.config, self.seed)
        return FittedMapper(name, self.config, self.design, self.space, means, regression)


def _ridge(columns: np.ndarray, targets: np.ndarray, weights: np.ndarray, config: ColdStartConfig, _seed: int):
    return fit_ridge(columns, targets, weights, config.regs).linear


def _network(columns: np.ndarray, targets: np.ndarray, weights: np.ndarray, config: ColdStartConfig, seed: int):
    """Stopped on some of the items that it may learn from."""
    learned = np.flatnonzero(weights > 0)
    n_stop = max(1, round(config.stop_share * len(learned)))
    stop = np.zeros(len(weights), bool)
    stop[np.random.default_rng(seed).permutation(learned)[:n_stop]] = True
    return fit_network(columns, targets, weights, stop, config.network(), seed).hidden


def _judge(problem: _Problem) -> tuple[tuple[MapperError, ...], str]:
    """Errors of every mapper over all usable items, each held out once, and the plainest of the best."""
    rows = np.random.default_rng(problem.seed).permutation(np.flatnonzero(problem.usable))
    targets = problem.space.encode(problem.vectors)
    losses = {name: np.zeros(len(problem.features)) for name in MAPPERS}
    for part in np.array_split(rows, problem.config.n_folds):
        held_out = np.zeros(len(problem.features), bool)
        held_out[part] = True
        for name in MAPPERS:
            points = problem.fit(name, held_out).points(problem.features.take(part))
            losses[name][part] = np.square(points - targets[part]).sum(axis=1)
    weights = problem.weights[rows] / problem.weights[rows].sum()
    # The mean of the usable items, not of all: what a mapper that knows nothing of an item would leave unexplained.
    spread = weights @ np.square(targets[rows] - weights @ targets[rows]).sum(axis=1)
    return choose({name: loss[rows] / (spread or 1.0) for name, loss in losses.items()}, weights)


def choose(
    losses: dict[str, Float64[np.ndarray, " items"]], weights: Float64[np.ndarray, " items"]
) -> tuple[tuple[MapperError, ...], str]:
    """The errors, weighted means of the losses, and the first mapper within one standard error of the best.

    `weights` add up to 1; the standard error is of the weighted mean of paired differences.

    >>> choose({"plain": np.array([1.0, 3.0]), "rich": np.array([2.0, 1.0])}, np.array([0.5, 0.5]))[1]
    'plain'
    """
    means = {name: float(weights @ loss) for name, loss in losses.items()}
    best = min(means, key=lambda name: means[name])
    errors = []
    for name, loss in losses.items():
        gaps = loss - losses[best]
        spread = math.sqrt(float(np.square(weights) @ np.square(gaps - weights @ gaps)))
        errors.append(MapperError(name, means[name], spread, len(weights)))
    chosen = next(row.mapper for row in errors if row.error <= means[best] + row.standard_error)
    return tuple(errors), chosen

"""Scene-disjoint parts of the looks, and triplets (scene, positive product, negative product) drawn from them.

A scene belongs to one part with all its products; were pairs split instead, a model could remember a test scene
from training. The part follows from the scene's id and the seed alone, so a scene keeps it while others arrive.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int32

from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.errors import ArtifactError, DataError, SettingError
from recsys_pipeline.core.folds import PARTS
from recsys_pipeline.core.types import check_settings, setting


@dataclass(frozen=True)
class TripletConfig:
    """How scenes are shared out, and how many fixed negatives each evaluated pair gets."""

    validation_share: float = setting(0.1, "Share of scenes for choosing settings.", ge=0, lt=1)
    test_share: float = setting(0.2, "Share of scenes for the report.", gt=0, lt=1)
    n_negatives: int = setting(10, "Fixed negatives per validation or test pair.", ge=1)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.validation_share + self.test_share >= 1:
            shares = f"validation_share={self.validation_share} and test_share={self.test_share}"
            raise SettingError(f"{shares} must be shares of the scenes that leave some to train on")


@dataclass(frozen=True)
class Triplets:
    """One row is a look (by its row in `LookData`) with a product that is not in its scene."""

    look: Int32[np.ndarray, " n"]
    scene: Int32[np.ndarray, " n"]
    positive: Int32[np.ndarray, " n"]
    negative: Int32[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.look)


@dataclass(frozen=True)
class LookFolds:
    """Rows of `LookData` by part, and the fixed negatives of the validation and test rows (`[pairs, n_negatives]`)."""

    train: Int32[np.ndarray, " train"]
    validation: Int32[np.ndarray, " validation"]
    test: Int32[np.ndarray, " test"]
    validation_negatives: Int32[np.ndarray, "validation n_negatives"]
    test_negatives: Int32[np.ndarray, "test n_negatives"]

    def save(self, directory: Path) -> None:
        """Write `parts.parquet` (look, part) and `negatives.parquet` (look, negatives)."""
        directory.mkdir(parents=True, exist_ok=True)
        looks = [self.train, self.validation, self.test]
        part = [name for name, rows in zip(PARTS, looks, strict=True) for _ in rows]
        pq.write_table(pa.table({"look": np.concatenate(looks), "part": part}), directory / "parts.parquet")
        negatives = np.concatenate([self.validation_negatives, self.test_negatives])
        rows = pa.FixedSizeListArray.from_arrays(pa.array(negatives.ravel()), negatives.shape[1])
        table = pa.table({"look": np.concatenate(looks[1:]), "negatives": rows})
        pq.write_table(table, directory / "negatives.parquet")

    @classmethod
    def load(cls, directory: Path) -> "LookFolds":
        """Read back what `save` wrote."""
        try:
            parts = pq.read_table(directory / "parts.parquet")
            stored = pq.read_table(directory / "negatives.parquet")["negatives"].combine_chunks()
        except (OSError, KeyError, pa.ArrowInvalid) as error:
            raise ArtifactError(f"triplets in {directory} cannot be read ({error}): write them again") from error
        look, part = parts["look"].to_numpy(), np.array(parts["part"].to_pylist())
        rows = {name: look[part == name] for name in PARTS}
        negatives = stored.flatten().to_numpy().reshape(len(stored), stored.type.list_size)
        cut = len(rows["validation"])
        return cls(**rows, validation_negatives=negatives[:cut], test_negatives=negatives[cut:])


@dataclass(frozen=True)
class LooksTrain:
    """What a model of looks learns from: the data, the rows to train on, and rows to watch while training."""

    data: LookData
    rows: Int32[np.ndarray, " train"]
    validation_rows: Int32[np.ndarray, " validation"]


def split_looks(data: LookData, config: TripletConfig, seed: int) -> LookFolds:
    """Share out scenes by a seeded hash of their ids and draw the negatives of the evaluated parts.

    Every part with a positive share gets at least one scene; raises `DataError` where there are too few scenes.
    """
    part = split_scenes(data.scene_ids, config, seed)[data.scene]
    rows = [np.flatnonzero(part == number).astype(np.int32) for number in range(len(PARTS))]
    draws = [np.random.default_rng([seed, number]) for number in range(len(PARTS))]
    negatives = [draw_negatives(data, rows[number], config.n_negatives, draws[number]) for number in (1, 2)]
    return LookFolds(*rows, *negatives)


def split_scenes(scene_ids: list[str], config: TripletConfig, seed: int) -> Int32[np.ndarray, " scenes"]:
    """The part (row of `PARTS`) of each scene."""
    position = np.array([_position(scene_id, seed) for scene_id in scene_ids])
    n_test = max(1, int((position < config.test_share).sum()))
    n_held_out = int((position < config.test_share + config.validation_share).sum())
    n_held_out = max(n_held_out, n_test + (config.validation_share > 0))
    if n_held_out >= len(scene_ids):
        raise DataError(f"{len(scene_ids)} scenes are too few to share out: {asdict(config)}")
    part = np.zeros(len(scene_ids), np.int32)
    order = np.argsort(position, kind="stable")
    part[order[:n_test]] = PARTS.index("test")
    part[order[n_test:n_held_out]] = PARTS.index("validation")
    return part


def _position(scene_id: str, seed: int) -> float:
    """A number in [0, 1) that depends on the id and the seed alone."""
    digest = hashlib.blake2b(f"{seed}:{scene_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def draw_triplets(train: LooksTrain, seed: int, epoch: int) -> Triplets:
    """Every train pair exactly once, in the order and with the negatives of this epoch."""
    rng = np.random.default_rng([seed, epoch])
    look = rng.permutation(train.rows)
    negative = draw_negatives(train.data, look, 1, rng)[:, 0]
    return Triplets(look, train.data.scene[look], train.data.product[look], negative)


def draw_negatives(
    data: LookData, rows: Int32[np.ndarray, " pairs"], n_negatives: int, rng: np.random.Generator
) -> Int32[np.ndarray, "pairs n_negatives"]:
    """Products of the positive's category that are not in its scene, uniformly and with replacement.

    Where the scene holds its whole category, any product that is not in the scene; raises `DataError` where the
    scene holds the whole catalogue.
    """
    by_category = _Exclusions(data, data.product_category)
    anything = _Exclusions(data, np.zeros_like(data.product_category))
    free = by_category.n_free(rows)
    starved = free == 0
    if (anything.n_free(rows[starved]) == 0).any():
        scene = data.scene_ids[data.scene[rows[starved][0]]]
        raise DataError(f"scene {scene!r} holds every product, so it has no negative: add products")
    draws = rng.random((len(rows), n_negatives))
    negatives = np.empty((len(rows), n_negatives), np.int32)
    negatives[~starved] = by_category.pick(rows[~starved], draws[~starved])
    negatives[starved] = anything.pick(rows[starved], draws[starved])
    return negatives


class _Exclusions:
    """Picks the r-th product of a group that is not in a scene, without trying and rejecting.

    Products are laid out group by group. A scene's own products are sorted places in that layout; stepping over
    each of them that lies at or before r turns r into the place of the r-th free product.
    """

    def __init__(self, data: LookData, group: Int32[np.ndarray, " products"]) -> None:
        self.layout = np.argsort(group, kind="stable").astype(np.int32)
        place = np.argsort(self.layout)
        self.start = np.searchsorted(group[self.layout], np.arange(group.max() + 2))
        own = np.unique(np.stack([data.scene, group[data.product], place[data.product]], axis=1), axis=0)
        width = int(group.max()) + 1
        self.key = data.scene.astype(np.int64) * width + group[data.product]
        self.group = group[data.product]
        own_key = own[:, 0].astype(np.int64) * width + own[:, 1]
        self.own_start = np.searchsorted(own_key, self.key, side="left")
        self.own_end = np.searchsorted(own_key, self.key, side="right")
        self.own_place = own[:, 2]

    def n_free(self, rows: Int32[np.ndarray, " n"]) -> np.ndarray:
        """How many products of each row's group its scene leaves."""
        group = self.group[rows]
        return self.start[group + 1] - self.start[group] - (self.own_end - self.own_start)[rows]

    def pick(self, rows: Int32[np.ndarray, " n"], draws: np.ndarray) -> Int32[np.ndarray, "n k"]:
        """Products for uniform `draws` in [0, 1) of shape `[n, k]`."""
        chosen = self.start[self.group[rows]][:, None] + (draws * self.n_free(rows)[:, None]).astype(np.int64)
        longest = int((self.own_end - self.own_start)[rows].max(initial=0))
        for step in range(longest):
            at = np.minimum(self.own_start[rows] + step, len(self.own_place) - 1)
            within = self.own_start[rows] + step < self.own_end[rows]
            chosen += within[:, None] & (self.own_place[at][:, None] <= chosen)
        return self.layout[chosen]

"""Scene-disjoint parts of the looks, and triplets (scene, positive product, negative product) drawn from them.

A scene belongs to one part with all its products; were pairs split instead, a model could remember a test scene
from training. The part follows from the scene's id and the seed alone, so a scene keeps it while others arrive.
"""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Int32

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.errors import ArtifactError, DataError, SettingError
from recsys_pipeline.core.folds import PARTS
from recsys_pipeline.core.folds.negatives import Negatives, draw_negatives

TRAIN, VALIDATION, TEST = range(len(PARTS))
"""Numbers of the parts, as `split_scenes` gives them."""


@dataclass(frozen=True)
class TripletConfig:
    """How scenes and products are shared out, and how many fixed negatives each evaluated pair gets."""

    validation_share: float = setting(0.1, "Share of scenes for choosing settings.", ge=0, lt=1)
    test_share: float = setting(0.2, "Share of scenes for the report.", gt=0, lt=1)
    n_negatives: int = setting(10, "Fixed negatives per validation or test pair.", ge=1)
    unseen_products: float = setting(
        0.0, "Share of products kept out of training, to judge on products that were never seen.", ge=0, lt=1
    )

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
    """Rows of `LookData` by part, and the fixed negatives of the validation and test rows (`[pairs, n_negatives]`).

    `held_out` are the products that training never shows, neither as a positive nor as a negative.
    """

    train: Int32[np.ndarray, " train"]
    validation: Int32[np.ndarray, " validation"]
    test: Int32[np.ndarray, " test"]
    validation_negatives: Int32[np.ndarray, "validation n_negatives"]
    test_negatives: Int32[np.ndarray, "test n_negatives"]
    held_out: Int32[np.ndarray, " held_out"] = field(default_factory=lambda: np.zeros(0, np.int32))

    def for_training(self, data: LookData) -> "LooksTrain":
        """What a model may learn from."""
        return LooksTrain(data, self.train, self.validation, self.held_out)

    def is_unseen(self, data: LookData, rows: Int32[np.ndarray, " pairs"]) -> Bool[np.ndarray, " pairs"]:
        """Whether each row's product is in no train row: all that are held out, and those that happen to be in none."""
        return ~np.isin(data.product[rows], data.product[self.train])

    def save(self, directory: Path) -> None:
        """Write `parts.parquet` (look, part), `negatives.parquet` (look, negatives), `held_out.parquet` (product)."""
        directory.mkdir(parents=True, exist_ok=True)
        looks = [self.train, self.validation, self.test]
        part = [name for name, rows in zip(PARTS, looks, strict=True) for _ in rows]
        pq.write_table(pa.table({"look": np.concatenate(looks), "part": part}), directory / "parts.parquet")
        negatives = np.concatenate([self.validation_negatives, self.test_negatives])
        rows = pa.FixedSizeListArray.from_arrays(pa.array(negatives.ravel()), negatives.shape[1])
        table = pa.table({"look": np.concatenate(looks[1:]), "negatives": rows})
        pq.write_table(table, directory / "negatives.parquet")
        pq.write_table(pa.table({"product": self.held_out}), directory / "held_out.parquet")

    @classmethod
    def load(cls, directory: Path) -> "LookFolds":
        """Read back what `save` wrote."""
        try:
            parts = pq.read_table(directory / "parts.parquet")
            stored = pq.read_table(directory / "negatives.parquet")["negatives"].combine_chunks()
            held_out = pq.read_table(directory / "held_out.parquet")["product"].to_numpy()
        except (OSError, KeyError, pa.ArrowInvalid) as error:
            raise ArtifactError(f"triplets in {directory} cannot be read ({error}): write them again") from error
        look, part = parts["look"].to_numpy(), np.array(parts["part"].to_pylist())
        rows = {name: look[part == name] for name in PARTS}
        negatives = stored.flatten().to_numpy().reshape(len(stored), stored.type.list_size)
        cut = len(rows["validation"])
        return cls(**rows, validation_negatives=negatives[:cut], test_negatives=negatives[cut:], held_out=held_out)


@dataclass(frozen=True)
class LooksTrain:
    """What a model of looks learns from: the data, the rows to train on, and rows to watch while training.

    Products `held_out` may not be shown in training.
    """

    data: LookData
    rows: Int32[np.ndarray, " train"]
    validation_rows: Int32[np.ndarray, " validation"]
    held_out: Int32[np.ndarray, " held_out"] = field(default_factory=lambda: np.zeros(0, np.int32))


def split_looks(data: LookData, config: TripletConfig, seed: int) -> LookFolds:
    """Share out scenes by a seeded hash of their ids and draw the negatives of the evaluated parts.

    With `unseen_products`, that share of products is held out of training by a hash of their ids, some for validation
    and some for test, in the ratio of their scenes: tuning never looks at the products of the test. Pairs of a part's
    scenes with products of another part are in no part; the photographs of train scenes may still show such products.

    Every part with a positive share gets at least one scene; raises `DataError` where there are too few scenes or
    products.
    """
    scene_part = split_scenes(data.scene_ids, config, seed)[data.scene]
    product_part = _split_products(data.product_ids, config, seed)
    of_product = product_part[data.product]
    part = np.where((of_product == TRAIN) | (of_product == scene_part), scene_part, -1)
    rows = [np.flatnonzero(part == number).astype(np.int32) for number in range(len(PARTS))]
    for name, found in zip(PARTS, rows, strict=True):
        if len(found) == 0 and (name != "validation" or config.validation_share > 0):
            raise DataError(f"no pairs are left for {name}: lower unseen_products = {config.unseen_products}")
    of_test = np.flatnonzero(product_part == TEST).astype(np.int32)
    negatives = [
        draw_negatives(data, rows[number], config.n_negatives, np.random.default_rng([seed, number]), held_out=others)
        for number, others in ((VALIDATION, of_test), (TEST, None))
    ]
    return LookFolds(*rows, *negatives, held_out=np.flatnonzero(product_part != TRAIN).astype(np.int32))


def split_scenes(scene_ids: list[str], config: TripletConfig, seed: int) -> Int32[np.ndarray, " scenes"]:
    """The part (row of `PARTS`) of each scene."""
    position = np.array([_position(scene_id, seed) for scene_id in scene_ids])
    n_test = max(1, int((position < config.test_share).sum()))
    n_held_out = int((position < config.test_share + config.validation_share).sum())
    n_held_out = max(n_held_out, n_test + (config.validation_share > 0))
    if n_held_out >= len(scene_ids):
        raise DataError(f"{len(scene_ids)} scenes are too few to share out: {asdict(config)}")
    part = np.full(len(scene_ids), TRAIN, np.int32)
    order = np.argsort(position, kind="stable")
    part[order[:n_test]] = TEST
    part[order[n_test:n_held_out]] = VALIDATION
    return part


def _split_products(product_ids: list[str], config: TripletConfig, seed: int) -> Int32[np.ndarray, " products"]:
    """The part of each product: those of train may be in any scene, the others only in scenes of their part."""
    position = np.array([_position(f"product {product_id}", seed) for product_id in product_ids])
    of_test = config.unseen_products * config.test_share / (config.test_share + config.validation_share)
    kind = np.where(position < of_test, TEST, VALIDATION)
    return np.where(position < config.unseen_products, kind, TRAIN).astype(np.int32)


def _position(key: str, seed: int) -> float:
    """A number in [0, 1) that depends on the key and the seed alone."""
    digest = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def draw_triplets(train: LooksTrain, seed: int, epoch: int, negatives: Negatives = "same_category") -> Triplets:
    """Every train pair exactly once, in the order and with the negatives of this epoch."""
    rng = np.random.default_rng([seed, epoch])
    look = rng.permutation(train.rows)
    negative = draw_train_negatives(train, look, 1, rng, negatives)[:, 0]
    return Triplets(look, train.data.scene[look], train.data.product[look], negative)


def draw_train_negatives(
    train: LooksTrain,
    rows: Int32[np.ndarray, " pairs"],
    n_negatives: int,
    rng: np.random.Generator,
    strategy: Negatives,
) -> Int32[np.ndarray, "pairs n_negatives"]:
    """Negatives from products that training may show; popularity is counted in the train part alone."""
    counts = np.bincount(train.data.product[train.rows], minlength=len(train.data.product_ids))
    return draw_negatives(train.data, rows, n_negatives, rng, strategy, train.held_out, counts)

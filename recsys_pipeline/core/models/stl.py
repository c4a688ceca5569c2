"""Shop the look: a scene tower and a product tower whose dot product says how well a product suits a scene.

The model of chapter 5 of Bischof & Yee, "Building Recommendation Systems in Python and JAX", without the faults of
its reference code: batch statistics are carried and saved, evaluation never runs in training mode, the product is
masked out of its scene, and the whole catalogue is embedded.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.folds.triplets import LooksTrain
from recsys_pipeline.core.learning.looks.compatibility import score_all
from recsys_pipeline.core.learning.looks.config import StlConfig
from recsys_pipeline.core.learning.looks.pixels import Colours
from recsys_pipeline.core.learning.looks.trained_towers import TrainedTowers
from recsys_pipeline.core.learning.looks.triplet_training import train_towers, untrained_towers
from recsys_pipeline.core.learning.model_files import load_model, save_model
from recsys_pipeline.core.models import ModelSpec
from recsys_pipeline.core.progress import Progress


class StlModel:
    """Fitted towers in evaluation mode: the same image always gets the same embedding.

    A score is the dot product of a scene's and a product's embedding. With `compatibility="local"` a scene has an
    embedding for each category of products (see `core/learning/looks/compatibility.py`), and only `score`, or scenes
    embedded for one category, rank as the model does.
    """

    def __init__(self, config: StlConfig, towers: TrainedTowers) -> None:
        self.config = config
        self.towers = towers
        self._embedder = towers.embedder(config)
        self._row = {name: row for row, name in enumerate(towers.categories)}

    def embed_scenes(
        self,
        images: UInt8[np.ndarray, "n size size 3"],
        boxes: Float32[np.ndarray, "n 4"] | None = None,
        category: str | None = None,
    ) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of scenes, each with the box of the product in question masked out.

        `boxes` are [left, top, right, bottom] in 0–1, NaN for none; give them wherever they are known and the
        product that is asked for is visible. `category` is that of the products that are looked for: it matters with
        `compatibility="local"`, where the mean over all categories stands for one that is not given or unknown.
        Raises `ModelError` for images of another size than trained on.
        """
        views = self._views(images, boxes)
        return views[:, self._row.get(category or "", -1) if views.shape[1] > 1 else 0]

    def embed_products(
        self, images: UInt8[np.ndarray, "n size size 3"], categories: Sequence[str] | None = None
    ) -> Float32[np.ndarray, "n dim"]:
        """Embeddings of product images; raises `ModelError` for images of another size than trained on.

        `categories` matter with `compatibility="gated"`: the mean gate stands for those not given or unknown.
        """
        self._check(images)
        return self._embedder.products(images, self._rows(categories, len(images)))

    def score(
        self,
        images: UInt8[np.ndarray, "scenes size size 3"],
        boxes: Float32[np.ndarray, "scenes 4"] | None,
        products: Float32[np.ndarray, "products dim"],
        categories: Sequence[str] | None = None,
    ) -> Float32[np.ndarray, "scenes products"]:
        """The score of every product for every scene; `products` are what `embed_products` gave for `categories`.

        It equals `embed_scenes(images, boxes) @ products.T`, but for `compatibility="local"`, where each product is
        compared with the scene as it is seen for its category.
        """
        views = self._views(images, boxes)
        return score_all(views, products, self._rows(categories, len(products)))

    def _views(self, images: np.ndarray, boxes: np.ndarray | None) -> np.ndarray:
        self._check(images)
        return self._embedder.scenes(images, boxes)

    def _rows(self, categories: Sequence[str] | None, n: int) -> Int32[np.ndarray, " n"]:
        """Row of each category among those trained on, −1 where it is not known."""
        names = [""] * n if categories is None else categories
        return np.array([self._row.get(name, -1) for name in names], np.int32).reshape(n)

    def _check(self, images: np.ndarray) -> None:
        size = self.towers.image_size
        if images.shape[1:] != (size, size, 3):
            raise ModelError(
                f"images are {images.shape[1:]}, but the model was trained on {(size, size, 3)}: resize them"
            )

    def save(self, directory: Path) -> None:
        """Write weights, batch statistics and colours, as `params/…`, `batch_stats/…`, `colours/…`."""
        towers = self.towers
        tree = {"params": towers.params, "batch_stats": towers.batch_stats, "colours": towers.colours._asdict()}
        facts = {"image_size": towers.image_size, "categories": list(towers.categories), "epochs": towers.epochs}
        save_model(directory, "stl", self.config, _flatten(tree), **facts)

    @classmethod
    def load(cls, directory: Path) -> "StlModel":
        """Read back what `save` wrote; embeddings are equal to the bit."""
        config, arrays, facts = load_model(directory, "stl", StlConfig)
        tree = _unflatten(arrays)
        colours, categories = Colours(**tree["colours"]), tuple(facts["categories"])
        weights = tree["params"], tree.get("batch_stats", {})
        return cls(config, TrainedTowers(*weights, colours, facts["image_size"], categories, facts["epochs"]))


def fit(
    train: LooksTrain,
    config: StlConfig,
    seed: int,
    progress: Progress | None = None,
    checkpoint_dir: Path | None = None,
    checkpoint_steps: int = 200,
) -> StlModel:
    """Train the towers; see `train_towers` for checkpoints and errors."""
    return StlModel(config, train_towers(train, config, seed, progress, checkpoint_dir, checkpoint_steps))


def continue_fit(
    earlier: StlModel,
    train: LooksTrain,
    config: StlConfig,
    seed: int,
    progress: Progress | None = None,
    checkpoint_dir: Path | None = None,
    checkpoint_steps: int = 200,
) -> StlModel:
    """Go on from earlier towers, on all of `train`, by `warm_epochs`; see `train_towers`."""
    towers = train_towers(train, config, seed, progress, checkpoint_dir, checkpoint_steps, earlier.towers)
    return StlModel(config, towers)


def untrained(train: LooksTrain, config: StlConfig, seed: int) -> StlModel:
    """The model that `fit` starts from, as a baseline."""
    return StlModel(config, untrained_towers(train, config, seed))


def _flatten(tree: Mapping[Any, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """A nested dictionary as `parent/…/name` → array."""
    flat: dict[str, np.ndarray] = {}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        flat.update(_flatten(value, f"{path}/") if isinstance(value, Mapping) else {path: value})
    return flat


def _unflatten(flat: Mapping[str, np.ndarray]) -> dict[Any, Any]:
    """The inverse of `_flatten`; parts that are numbers are the indices of lists of modules."""
    tree: dict[Any, Any] = {}
    for path, value in flat.items():
        *parents, name = (int(part) if part.isdigit() else part for part in path.split("/"))
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return tree


SPEC = ModelSpec("stl", StlConfig, fit, StlModel.load, data="looks", continue_fit=continue_fit, swept_weekly=True)

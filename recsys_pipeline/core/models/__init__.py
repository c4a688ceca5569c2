"""What a model file exports, and how the files are found: one file adds a model, nothing central changes."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys_pipeline.core.errors import SettingError


@dataclass(frozen=True)
class ModelSpec:
    """One registered model: its name, its frozen config dataclass, its fit function and its class."""

    name: str
    config: type
    fit: Callable[..., Any]
    """`fit(train: Ratings, config, seed: int, progress: Progress | None = None) -> Recommender`
    (for `data="looks"`: `train` is the looks training set)."""
    load: Callable[[Path], Any]
    data: str = "interactions"
    """What it learns from: "interactions" or "looks"."""
    daily: bool = True
    """Whether `batch_daily` fits it; the others are fitted where they are asked for (by name in the UI, or by
    `recsys evaluate`), because their cost grows faster than the data."""
    continue_fit: Callable[..., Any] | None = None
    """`continue_fit(earlier, train, config, seed, progress) -> model` goes on from an earlier model of the same config
    instead of fitting anew, on all of `train`. Dense ids of interactions never change their number, so that row i of
    the earlier model is row i of `train`, and further rows are new. None: always fitted in full, as what only counts
    is, because that is cheap."""
    swept_weekly: bool = False
    """Whether `sweep_weekly` tunes it; the others are tuned where somebody asks for it."""
    sweep_file: str = ""
    """Name of its sweep file in `conf/sweeps`, without `.yaml`; empty: as the model."""

    @property
    def model(self) -> type:
        """The class of what is fitted, whose `load` reads it back: it says what the model can do."""
        return getattr(self.load, "__self__", object)


def discover() -> dict[str, ModelSpec]:
    """Every `SPEC` exported by a module of this package, by name."""
    package = importlib.import_module(__name__)
    specs: dict[str, ModelSpec] = {}
    for module_info in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name):
        spec = getattr(importlib.import_module(f"{package.__name__}.{module_info.name}"), "SPEC", None)
        if spec is None:
            continue
        if spec.name in specs:
            raise SettingError(f"two model files register the name {spec.name!r}")
        specs[spec.name] = spec
    return specs

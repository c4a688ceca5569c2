"""The modules of all assets: importing them declares these, whatever the source can feed."""

import importlib
import pkgutil
from types import ModuleType


def asset_modules() -> list[ModuleType]:
    """The modules of all assets, whatever the source can feed: importing them declares these."""
    from recsys_pipeline.defs import (
        dataset,
        folds,
        item_images,
        joins,
        models,
        neighbors,
        reports,
        serving,
        speed,
    )
    from recsys_pipeline.defs.learning import assets as sweeps

    return [dataset, joins, item_images, folds, sweeps, models, neighbors, *_modules_of(reports), serving, speed]


def _modules_of(package: ModuleType) -> list[ModuleType]:
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def load_forms() -> None:
    """Import the modules of all assets, and give their forms the deployment's values as defaults."""
    from recsys_pipeline.defs.asset import ASSETS
    from recsys_pipeline.defs.deployed_settings import FORMS, deployed_form

    asset_modules()
    for made in ASSETS.values():
        if made.form is not None and made.key not in FORMS:
            deployed_form(made.key, made.form)

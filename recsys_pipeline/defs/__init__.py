"""Definitions: thin Dagster assets over the core; what the source cannot feed is left out."""

import importlib
import pkgutil
from types import ModuleType

import dagster as dg


def build_definitions() -> dg.Definitions:
    """All assets that the configured source can feed, with their jobs, schedules and resources."""
    from recsys_pipeline.defs.deployed_settings import check_settings
    from recsys_pipeline.defs.freshness import CHECKS
    from recsys_pipeline.defs.jobs import build_jobs, build_schedules
    from recsys_pipeline.defs.production import NEEDS
    from recsys_pipeline.defs.resources import RESOURCES, configured_source
    from recsys_pipeline.defs.sensors import build_sensors

    modules = asset_modules()
    check_settings()
    provided = configured_source().provides | {"reports"}
    found = dg.load_assets_from_modules(modules)
    assets = [asset for asset in found if isinstance(asset, dg.AssetsDefinition) and _needs(asset, NEEDS) <= provided]
    jobs = build_jobs(sweeps=bool({"interactions", "looks"} & provided), speed="interactions" in provided)
    return dg.Definitions(
        assets=assets,
        asset_checks=[
            *dg.load_asset_checks_from_modules(modules),
            *(CHECKS if "interactions" in provided else ()),
        ],
        jobs=jobs,
        schedules=build_schedules(jobs),
        sensors=build_sensors(jobs),
        resources=RESOURCES,
        executor=dg.in_process_executor,
    )


def asset_modules() -> list[ModuleType]:
    """The modules of all assets, whatever the source can feed; loading them makes every form."""
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


def _needs(asset: dg.AssetsDefinition, tag: str) -> set[str]:
    return {need for spec in asset.specs for need in spec.tags[tag].split(".")}

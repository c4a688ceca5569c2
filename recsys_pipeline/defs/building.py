"""The Definitions object: what is declared, for a source; what that cannot feed is left out."""

from dataclasses import dataclass

import dagster as dg

from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.defs.asset import fed
from recsys_pipeline.defs.declarations import asset_modules, load_forms
from recsys_pipeline.defs.deployed_settings import check_settings
from recsys_pipeline.defs.freshness import CHECKS
from recsys_pipeline.defs.jobs import build_jobs, build_schedules
from recsys_pipeline.defs.making import as_dagster
from recsys_pipeline.defs.partitions import Partitions, configured_partitions
from recsys_pipeline.defs.resources import RESOURCES, configured_source
from recsys_pipeline.defs.sensors import build_sensors


@dataclass(frozen=True)
class Deployment:
    """What definitions are built for."""

    source: Source
    partitions: Partitions

    @classmethod
    def configured(cls) -> "Deployment":
        """That of the settings."""
        return cls(configured_source(), configured_partitions())


def build_definitions(deployment: Deployment) -> dg.Definitions:
    """All assets that the source can feed, with their jobs, schedules and resources."""
    load_forms()
    check_settings()
    provided = frozenset(deployment.source.provides)
    made = fed(provided)
    checks = [check for key, check in own_checks().items() if key in {one.key for one in made}]
    jobs = build_jobs(sweeps=bool({"interactions", "looks"} & provided), speed="interactions" in provided)
    return dg.Definitions(
        assets=[as_dagster(one, provided, deployment.partitions) for one in made],
        asset_checks=[*checks, *(CHECKS if "interactions" in provided else ())],
        jobs=jobs,
        schedules=build_schedules(jobs, deployment.partitions),
        sensors=build_sensors(jobs, deployment.partitions, has_end=deployment.source.days().last is not None),
        resources=RESOURCES,
        executor=dg.in_process_executor,
    )


def own_checks() -> dict[str, dg.AssetChecksDefinition]:
    """Checks that are steps of their own, by the key of their asset."""
    found = [check for module in asset_modules() for check in dg.load_asset_checks_from_modules([module])]
    return {spec.asset_key.to_user_string(): check for check in found for spec in check.check_specs}

"""Which settings a model is fitted with, and where each is from: a default, the file, a sweep, or this run's form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.core.models import ModelSpec
from recsys_pipeline.defs.deployed_settings import DEFAULT, FORM, FORMS, origins_in_run
from recsys_pipeline.defs.learning.in_use import USE_SWEEP, tuned_config


@dataclass(frozen=True)
class ModelSettings:
    """The fields of a model's form, with what a sweep found in their places."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]
    sweep: Artifact | None
    """What was taken from."""


def settings_in_run(
    context: dg.AssetExecutionContext, store: ArtifactStore, spec: ModelSpec, form: dg.Config
) -> ModelSettings:
    """What this run fits a model with: its own values go over the sweep's, and those over the deployment's."""
    values = form.model_dump()
    return _with_sweep(store, spec, context.partition_key, values, origins_in_run(context, values))


def deployed_settings(store: ArtifactStore, spec: ModelSpec, partition: str) -> ModelSettings:
    """What a run of this partition fits a model with that says nothing itself."""
    deployed = FORMS[f"models/{spec.name}"]
    return _with_sweep(store, spec, partition, deployed.values, deployed.origins)


def _with_sweep(
    store: ArtifactStore, spec: ModelSpec, partition: str, values: Mapping[str, Any], origins: Mapping[str, str]
) -> ModelSettings:
    tuned = tuned_config(store, spec, partition) if values[USE_SWEEP] else None
    found = {name: value for name, value in tuned.found.items() if origins.get(name) != FORM} if tuned else {}
    told = dict.fromkeys(found, tuned.origin if tuned else "")
    return ModelSettings({**values, **found}, {**origins, **told}, tuned.sweep if tuned else None)


def settings_table(values: Mapping[str, Any], origins: Mapping[str, str]) -> dg.TableMetadataValue:
    """The settings as the UI shows them, those that somebody chose first."""
    rows = sorted(values, key=lambda name: origins.get(name, DEFAULT) == DEFAULT)
    return dg.MetadataValue.table(
        [
            dg.TableRecord({"setting": name, "value": str(values[name]), "from": origins.get(name, DEFAULT)})
            for name in rows
        ]
    )

"""What our runs and artifacts are called in Weights & Biases: stable, valid, and different for different things."""

import hashlib
import re

from recsys_pipeline.adapters.store.manifest import Recipe
from recsys_pipeline.adapters.wandb.outbox import Stored

NAME_LENGTH = 128
"""What W&B allows a collection (`NAME_MAXLEN` of its client); aliases and ids are kept to the same."""
NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_.-]")
"""W&B's client refuses only `/` and `:`, its service more: these it always takes."""
RESERVED = re.compile(r"latest|champion|v\d+")
"""Aliases that mean something else: W&B's own, and that of releases."""


def artifact_name(stored: Stored) -> str:
    """Collection of an artifact: `models-als-simulator-demo`; sources share a project and never a collection."""
    name = f"{stored.key.replace('/', '-')}-{stored.source}"
    return _valid(name, f"{stored.key}/{stored.source}", faithful="-" not in stored.key)


def artifact_type(stored: Stored) -> str:
    """Its stage."""
    return stored.key.split("/")[0]


def partition_alias(partition: str) -> str:
    """The partition, as far as an alias may say it."""
    return _valid(partition, partition, faithful=not RESERVED.fullmatch(partition))


def content_alias(stored: Stored) -> str:
    """By which a run that used this content finds it again."""
    return f"{partition_alias(stored.partition)[: NAME_LENGTH - 20]}.{stored.digest[:16]}"


def run_identity(source: str, recipe: Recipe, dagster_run: str) -> str:
    """Id of the run that made an artifact, such as `als-2026-01-05-models-…`: the same from its manifest.

    `wandb leet` lists local runs by their ids and cuts them short, so that what tells them apart comes first.
    """
    stage, subject = recipe.key.split("/", 1)
    exact = hashlib.sha256(f"{source}\0{recipe.digest()}\0{dagster_run}".encode()).hexdigest()[:16]
    return readable_id(f"{subject}-{recipe.partition}-{stage}", exact)


def readable_id(name: str, exact: str) -> str:
    """An id that begins with a name for people and ends with what makes it the only one."""
    return f"{NOT_ALLOWED.sub('-', name)[: NAME_LENGTH - len(exact) - 9]}-{exact}"


def run_url(base_url: str, entity: str, project: str, run_id: str) -> str:
    """The page of a run."""
    return f"{app_url(base_url)}/{entity}/{project}/runs/{run_id}"


def artifact_url(base_url: str, entity: str, project: str, stored: Stored) -> str:
    """The page of an artifact, at the version with this content."""
    return (
        f"{app_url(base_url)}/{entity}/{project}/artifacts/{artifact_type(stored)}/{artifact_name(stored)}/"
        f"{content_alias(stored)}"
    )


def app_url(base_url: str) -> str:
    """W&B's service has its pages on another host than its API; a self-hosted server has both on one."""
    return base_url.rstrip("/").replace("https://api.wandb.ai", "https://wandb.ai")


def _valid(name: str, exact: str, faithful: bool = True) -> str:
    """The name where it is valid; else what is valid of it, and a digest of the exact one so that none collide."""
    clean = NOT_ALLOWED.sub("-", name)
    if clean == name and len(name) <= NAME_LENGTH and faithful:
        return name
    return f"{clean[: NAME_LENGTH - 9]}-{hashlib.sha256(exact.encode()).hexdigest()[:8]}"

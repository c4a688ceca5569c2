"""`recsys reproduce`: one artifact made again from its manifest, beside the real store, and the digests compared."""

import argparse
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console
from rich.markup import escape

from recsys_pipeline import definitions
from recsys_pipeline.adapters.intake.meaning_of_days import MEANING
from recsys_pipeline.adapters.lineage.graph import Version, read_graph
from recsys_pipeline.adapters.lineage.manifest_differences import SOURCE, changes_since, differences
from recsys_pipeline.adapters.lineage.scratch_store import Inputs, lay_out_inputs
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.store.manifest import Manifest, Recipe
from recsys_pipeline.commands.running.launch import QUIET, check_partition
from recsys_pipeline.commands.screen import show_steps
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.defs.asset import declared
from recsys_pipeline.defs.failures import cause_of
from recsys_pipeline.defs.resources import StoreResource, configured_source
from recsys_pipeline.settings import settings

DEFINITION, ENGINE, SWEEPS = "definition", "engine", "learning/"
"""The text of a sweep's file, which its recipe holds; what served its trials; and the keys of sweeps."""

Warn = Callable[[str], None]


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Make it; 1 where it came out otherwise."""
    show_steps()
    outcome = reproduce(definitions.defs, parsed.artifact, parsed.keep, lambda text: _warn(console, text))
    print_reproduction(console, outcome)
    return 0 if outcome.is_same else 1


def _warn(console: Console, text: str) -> None:
    console.print(f"[yellow]warning[/yellow]: {escape(text)}", soft_wrap=True)


@dataclass(frozen=True)
class Reproduction:
    """What came of it: the artifact as it was, and as it is now or why there is none."""

    before: Manifest
    now: Manifest | None = None
    problem: str = ""
    kept: Path | None = None
    """The scratch folder, where it was to be kept."""

    @property
    def is_same(self) -> bool:
        """Whether the digests are equal."""
        return self.now is not None and self.now.digest == self.before.digest


def reproduce(defs: dg.Definitions, name: str, keep: bool, warn: Warn) -> Reproduction:
    """Make the artifact that `name` means again: same partition, same config, the very versions that it was made from.

    Runs the real asset in this process, on a Dagster instance that is forgotten, with everything that it writes in a
    scratch folder; nothing of the real store changes. `warn` is told beforehand what is no longer as it was.
    """
    store, source = StoreResource().open(), configured_source()
    graph = read_graph(store)
    version = graph.version(graph.find(name))
    recipe = version.manifest.recipe
    check_partition(recipe.partition, of_hours=recipe.key.startswith("speed/"))
    fields, made = _form_fields(defs, recipe.key), declared(recipe.key)
    for warning in (
        *changes_since(recipe, made.code_version, made.libraries, source.fingerprint),
        *_changed_fields(recipe, fields),
    ):
        warn(warning)
    if version.manifest.metrics.get(ENGINE) == "wandb":
        warn("W&B drew the trials of this sweep; here Optuna draws them, and they will be others")
    with store.staged() as folder:
        scratch = ArtifactStore(str(folder / "store" / source.name), cache=folder / "cache")
        inputs = lay_out_inputs(store, graph, version, scratch.local_root)
        for warning in (*(f"{ref.key}@{ref.partition}, an input, is gone" for ref in inputs.gone), *inputs.damaged):
            warn(warning)
        form = _form(recipe, inputs, fields, folder)
        problem = _lost(recipe, inputs) or _run(defs, recipe, form, folder)
        made = scratch.current(recipe.key, recipe.partition)
        kept = _keep(folder, recipe, version) if keep else None
    return Reproduction(version.manifest, made.manifest if made else None, problem, kept)


def print_reproduction(console: Console, outcome: Reproduction) -> None:
    """The verdict, and how the two makings differ."""
    before, now = outcome.before, outcome.now
    if outcome.problem:
        console.print(f"[red]not made[/red]: {escape(outcome.problem)}", soft_wrap=True)
    if now is not None:
        verdict = "[green]same[/green]" if outcome.is_same else "[red]different[/red]"
        told = before.digest if outcome.is_same else f"{before.digest} then\n           {now.digest} now"
        console.print(f"{verdict}: {told}", soft_wrap=True)
        console.print(f"took {now.seconds:.1f} s, and {before.seconds:.1f} s then")
        changed = list(differences(before, now))
        if outcome.is_same and changed:
            console.print("what the digest leaves out differs:")
        if not outcome.is_same and before.files == now.files:
            console.print("  every file is the same: the code takes the digest another way now")
        for difference in changed:
            console.print(f"  {escape(difference)}", soft_wrap=True)
    if outcome.kept:
        console.print(f"kept in {outcome.kept}", soft_wrap=True)


OF_THE_RUN = {"use_sweep", "max_missing_share", "reread_from"}
"""Fields that no recipe holds: they decide on a run, and not on what an artifact is made of."""


def _form_fields(defs: dg.Definitions, key: str) -> set[str]:
    """Names of the Launchpad fields of an asset; raises `SettingError` where the code has no such asset."""
    job = defs.resolve_implicit_global_asset_job_def()
    ops = {node.name: node.definition for node in job.graph.nodes}
    if _op(key) not in ops:
        there = ", ".join(sorted(name.replace("__", "/") for name in ops))
        raise SettingError(f"{key} is no asset of this code with this source: there are {there}")
    schema: Any = ops[_op(key)].config_schema
    shape = schema.config_type
    fields = getattr(shape, "fields", {})
    return set(fields["config"].config_type.fields if "config" in fields else fields)


def _op(key: str) -> str:
    return key.replace("/", "__")


def _changed_fields(recipe: Recipe, fields: set[str]) -> Iterator[str]:
    for name in sorted(recipe.config.keys() - fields - {SOURCE, DEFINITION, MEANING}):
        yield f"{recipe.key} has no field {name} any more; it was {recipe.config[name]!r}"
    for name in sorted(fields - recipe.config.keys() - OF_THE_RUN):
        yield f"{recipe.key} has a field {name} that it did not have then: its default is taken"


def _form(recipe: Recipe, inputs: Inputs, fields: set[str], folder: Path) -> dict[str, Any]:
    """The Launchpad form that leads to the recipe."""
    form = {name: value for name, value in recipe.config.items() if name in fields}
    if "use_sweep" in fields:  # a sweep that is gone leaves its choice in the recipe, and that is then pinned
        form["use_sweep"] = any(ref.key.startswith(SWEEPS) and ref not in inputs.gone for ref in recipe.inputs)
    if ENGINE in fields:  # a scratch run tells W&B nothing
        form[ENGINE] = "offline"
    if DEFINITION in recipe.config and not _reads(form["file"], recipe.config[DEFINITION]):
        path = folder / Path(form["file"]).name
        path.write_text(recipe.config[DEFINITION], encoding="utf-8")
        form["file"] = str(path)
    return form


def _reads(file: str, text: str) -> bool:
    """Whether a sweep's file still says what it said."""
    try:
        return Path(file).read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def _lost(recipe: Recipe, inputs: Inputs) -> str:
    """Why there is nothing to start from, or nothing."""
    lost = [ref for ref in inputs.gone if ref in recipe.inputs and not ref.key.startswith(SWEEPS)]
    names = ", ".join(f"{ref.key}@{ref.partition} {ref.digest[:12]}" for ref in lost)
    return f"it was made from {names}, of which no version is left" if names else ""


def _run(defs: dg.Definitions, recipe: Recipe, form: dict[str, Any], home: Path) -> str:
    """Run the asset with everything below `home`; why it failed, or nothing."""
    config = {
        **QUIET,
        "ops": {_op(recipe.key): {"config": form}} if form else {},
        "resources": {"store": {"config": {"recompute": True}}, "tracker": {"config": {"enabled": False}}},
    }
    job = defs.resolve_implicit_global_asset_job_def()
    key = dg.AssetKey.from_user_string(recipe.key)
    with _home(home), dg.DagsterInstance.ephemeral() as instance:
        try:
            result = job.execute_in_process(
                config, instance=instance, asset_selection=[key], partition_key=recipe.partition, raise_on_error=False
            )
        except dg.DagsterInvalidConfigError as error:
            return "; ".join(problem.message for problem in error.errors)
    return "" if result.success else str(cause_of(result))


@contextmanager
def _home(home: Path) -> Iterator[None]:
    """Let this process keep everything below `home`, store, checkpoints and pages, and let it tell nobody.

    The source stays the one that was opened before, with its downloads.
    """
    values = {"RECSYS_HOME": str(home), "RECSYS_STORE": str(home / "store"), "WANDB_MODE": "disabled"}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    settings.cache_clear()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        settings.cache_clear()


def _keep(folder: Path, recipe: Recipe, version: Version) -> Path:
    kept = settings().home / "reproduced" / f"{_op(recipe.key)}-{recipe.partition}-{version.name}"
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder, kept)
    return kept

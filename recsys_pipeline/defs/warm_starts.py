"""Whether a day's model goes on from an earlier one or is fitted in full, and why.

Everything that decides is in the store as it stood before the day, so that a day can be made again: the earlier model
is an input of the later one, and chains of days are walked by manifests.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from pydantic import Field

from recsys_pipeline.adapters.lineage.manifest_differences import SOURCE
from recsys_pipeline.adapters.serving.releases import DECISION, champion
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.adapters.store.manifest import Manifest, to_json
from recsys_pipeline.core.errors import ArtifactError, UnknownPastError
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.keys import ArtifactRef
from recsys_pipeline.core.models import ModelSpec
from recsys_pipeline.core.reports.parity.gaps import never_in
from recsys_pipeline.defs.asset import declared

PARITY = "reports/parity"
BEHIND = "behind"
"""Metric of `PARITY`: the models whose continued fit fell behind a full one, with spaces between."""
Refit = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "always", "never"]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
REFIT_FIELDS: dict[str, Any] = {
    "refit": (
        Refit,
        Field("sunday", description="The weekday on which the model is fitted in full; on others it goes on from that "
                                    "of the newest release. 'always': in full every day; 'never': only where there "
                                    "is nothing to go on from."),
    ),
    "max_gap_days": (
        int, Field(3, ge=1, description="A model that is more days older is not gone on from: the fit is in full.")
    ),
}  # fmt: skip
"""Launchpad fields of models that can go on from an earlier one."""


@dataclass(frozen=True)
class FitPlan:
    """How a model of a day is fitted."""

    earlier: Artifact | None
    """What the fit could go on from."""
    reason: str
    """Why the fit is in full nevertheless, or why there is nothing to go on from; empty where it goes on."""

    @property
    def start(self) -> Artifact | None:
        """What the fit goes on from."""
        return None if self.reason else self.earlier

    def facts(self, day: str) -> dict[str, Any]:
        """What the manifest tells of the fit."""
        full = day if self.start is None else self.start.manifest.metrics["full_fit_day"]
        words = f"in full: {self.reason}"
        if self.start is not None:
            since = (date.fromisoformat(day) - date.fromisoformat(full)).days
            words = f"continued from {self.start.manifest.recipe.partition} ({since} days since the full fit)"
        return {"fit": words, "full_fit_day": full}


def plan_fit(
    store: ArtifactStore, spec: ModelSpec, day: str, inputs: Sequence[Artifact], config: Mapping[str, Any]
) -> FitPlan:
    """How the model of a day is to be fitted; `config` is that of its recipe, with `REFIT_FIELDS`.

    It goes on from an earlier model only where that one is near enough, of the same code and settings (its own, and
    those of the data, or it might know what is tested today), and where no full refit is due.
    """
    key = f"models/{spec.name}"
    earlier, why = earlier_model(store, key, day)
    if earlier is None:
        return FitPlan(None, why)
    if difference := _difference(earlier.manifest, day, inputs, config) or _lost(store, earlier):
        return FitPlan(None, difference)
    due = full_fit_is_due(earlier.manifest.metrics["full_fit_day"], day, config["refit"])
    return FitPlan(earlier, due or _behind(store, spec, day))


def earlier_model(store: ArtifactStore, key: str, day: str) -> tuple[Artifact | None, str]:
    """The model that the fit of a day may go on from, that of the newest release of an earlier day that stands; or why
    there is none.

    So what the gate rejected, or a person withdrew, lives on in no later model. Before anything was released, and where
    nothing is, it is the newest model, unless the gate has decided on that.
    """
    release = champion(store, before=day)
    if release is not None:
        found, then = input_of(store, release, key), release.manifest.recipe.partition
        return found, "" if found else f"the release of {then}, the newest that stands, has no {key} that is left"
    newest = store.latest(key, before=day)
    if newest is None:
        return None, "there is no earlier model to go on from"
    if store.current(DECISION, newest.manifest.recipe.partition) is not None:
        return None, f"no release of an earlier day stands; {newest.manifest.recipe.partition} was not promoted"
    return newest, ""


def chain(store: ArtifactStore, model: Artifact) -> Iterator[Artifact]:
    """A model and those that it went on from, newest first, back to its full fit: the versions that manifests name.

    Raises `UnknownPastError` naming one that is gone: nobody knows what it was trained on, and so what of the test rows
    its successors remember.
    """
    found: Artifact | None = model
    while found is not None:
        yield found
        found = _needed(store, found, found.manifest.recipe.key)


def trained_before(store: ArtifactStore, start: Artifact) -> list[Artifact]:
    """A model and those that it went on from, newest first, each with the fold that it was trained on."""
    return [found for model in chain(store, start) for found in (model, _needed(store, model, "folds/")) if found]


def remembered(store: ArtifactStore, model: Artifact) -> list[Artifact]:
    """The models that a continued one went on from, and their folds; none for a full fit.

    It may remember of those folds what is a test row today: where somebody comes back to an item, the pair moves from
    train to test. Whoever judges it leaves such rows out, and has all of these among its inputs.
    """
    earlier = _needed(store, model, model.manifest.recipe.key)
    return trained_before(store, earlier) if earlier else []


def unremembered(fold: Artifact, behind: Sequence[Artifact]) -> Fold:
    """A day's fold without the test rows that were trained on in a fold of `behind`."""
    found, key = Fold.load(fold.path), fold.manifest.recipe.key
    folds = [Fold.load(one.path).train_and_validation for one in behind if one.manifest.recipe.key == key]
    return dataclasses.replace(found, test=found.test.take(never_in(found.test, folds)))


def input_of(store: ArtifactStore, artifact: Artifact, key: str) -> Artifact | None:
    """The input whose key starts so, in the version that was read; None where there is none, or it is gone."""
    ref = _ref_of(artifact, key)
    return store.find(ref) if ref else None


def _ref_of(artifact: Artifact, key: str) -> ArtifactRef | None:
    return next((ref for ref in artifact.manifest.recipe.inputs if ref.key.startswith(key)), None)


def _needed(store: ArtifactStore, artifact: Artifact, key: str) -> Artifact | None:
    """The same; what was read and is gone raises `UnknownPastError`."""
    ref, found = _ref_of(artifact, key), input_of(store, artifact, key)
    if ref is not None and found is None:
        made = artifact.manifest.recipe
        raise UnknownPastError(
            f"{made.key}@{made.partition} was made from {ref.key}@{ref.partition} {ref.digest[:12]}, which is gone: "
            f"what its model has seen is not known, so it cannot be judged. Materialize {made.key} {made.partition} "
            "again, with refit=always"
        )
    return found


def _lost(store: ArtifactStore, earlier: Artifact) -> str:
    """Why it is not known what an earlier model was trained on, or nothing."""
    try:
        trained_before(store, earlier)
    except ArtifactError as error:
        return str(error)
    return ""


def data_settings(inputs: Sequence[Artifact]) -> str:
    """Names the settings with which a model's inputs were made, whatever their day."""
    settings = {
        artifact.manifest.recipe.key: {
            name: value for name, value in artifact.manifest.recipe.config.items() if name != SOURCE
        }
        for artifact in inputs
    }
    return hashlib.sha256(to_json(settings).encode()).hexdigest()[:16]


def _difference(earlier: Manifest, day: str, inputs: Sequence[Artifact], config: Mapping[str, Any]) -> str:
    """Why an earlier model is nothing to go on from, or nothing."""
    before, then = earlier.recipe.config, earlier.recipe.partition
    gap = (date.fromisoformat(day) - date.fromisoformat(then)).days
    if gap > config["max_gap_days"]:
        return f"the newest earlier model is of {then}, {gap} days before"
    if earlier.recipe.code_version != declared(earlier.recipe.key).code_version:
        return f"the code has changed since {then}"
    names = (before.keys() | config.keys()) - REFIT_FIELDS.keys()
    if changed := sorted(name for name in names if _plain(before.get(name)) != _plain(config.get(name))):
        return f"since {then} settings have changed: {', '.join(changed)}"
    if earlier.metrics["data_settings"] != data_settings(inputs):
        return f"the settings of the data have changed since {then}"
    return ""


def _plain(value: Any) -> str:
    """As a manifest holds it: a tuple comes back from JSON as a list."""
    return to_json(value)


def full_fit_is_due(full_fit_day: str, day: str, refit: str) -> str:
    """Why a model whose last full fit was on `full_fit_day` is to be fitted in full on `day`, or nothing.

    A weekday that passed without a full fit is made up for on the next day.
    """
    if refit not in WEEKDAYS:
        return "it was asked for" if refit == "always" else ""
    today = date.fromisoformat(day)
    due = today - timedelta(days=(today.weekday() - WEEKDAYS.index(refit)) % 7)
    return f"that of {refit}, {due}, is due" if full_fit_day < due.isoformat() else ""


def _behind(store: ArtifactStore, spec: ModelSpec, day: str) -> str:
    report = store.latest(PARITY, before=day)
    if report is None or spec.name not in report.manifest.metrics[BEHIND].split():
        return ""
    return f"on {report.manifest.recipe.partition} the continued model fell behind a full fit"

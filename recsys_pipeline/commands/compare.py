"""`recsys compare`: an experiment beside the day's own release, as a table in the shell and as a page."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_pipeline.adapters.serving.releases import RELEASE, decision_of, versions
from recsys_pipeline.adapters.store.artifact_store import Artifact, ArtifactStore
from recsys_pipeline.adapters.store.report_folder import publish_text
from recsys_pipeline.core.errors import ArtifactError, SettingError
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.serving.comparison import Comparison, compare
from recsys_pipeline.core.serving.comparison_page import (
    SIDES,
    ComparedReleases,
    SettingRow,
    accuracy_rows,
    lists_in_words,
    render_comparison,
    verdict,
)
from recsys_pipeline.core.serving.gate import Decision
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.defs.declarations import load_forms
from recsys_pipeline.defs.experiments import is_same, settings_behind, was_experiment
from recsys_pipeline.defs.releasing import named_day
from recsys_pipeline.defs.resources import StoreResource, configured_source, report_folder
from recsys_pipeline.defs.warm_starts import input_of, remembered
from recsys_pipeline.settings import settings

FOLD = "folds/prequential"
NEWEST_DAYS = 60
"""Days in which an experiment is looked for where no day is named."""


@dataclass(frozen=True)
class Pair:
    """A day's own release and an experiment."""

    own: Artifact
    other: Artifact

    @property
    def day(self) -> str:
        """Of both."""
        return self.other.manifest.recipe.partition


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Print the tables, write the page and say where it is."""
    load_forms()  # what the deployment would give is in the forms of the assets
    store = StoreResource().open()
    pair = find_pair(store, named_day(parsed.day) if parsed.day else None, parsed.digest)
    found, about = compared(store, pair)
    console.print(f"{SIDES[1]} {pair.other.manifest.digest[:12]} of {pair.day}, gate: {about.gate[1]}", soft_wrap=True)
    console.print(f"{SIDES[0]} {pair.own.manifest.digest[:12]}, gate: {about.gate[0]}", soft_wrap=True)
    console.print(_table(("setting", *SIDES), [(row.name, row.own, row.other) for row in about.settings]))
    console.print(_table(("metric", *SIDES, "difference", ""), accuracy_rows(found)))
    for line in (verdict(found), lists_in_words(found), *about.notes):
        console.print(escape(line), soft_wrap=True)
    console.print(f"Page    {write_page(pair, found, about)}", soft_wrap=True)
    return 0


def _table(names: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def write_page(pair: Pair, found: Comparison, about: ComparedReleases) -> Path:
    """Put the page into the folder that people open, and give its path."""
    folder = report_folder(settings(), configured_source().name)
    suffix = f"experiment-{pair.other.manifest.digest[:8]}"
    return publish_text(render_comparison(found, about), folder, pair.day, suffix)


def find_pair(store: ArtifactStore, day: str | None, digest: str = "") -> Pair:
    """An experiment (the day's newest, or the one whose digest begins so) and the day's own release.

    Without a day it is the newest that has an experiment. Raises `SettingError` where there is none, `ArtifactError`
    where the day's own was never made.
    """
    days = [day] if day else list(reversed(store.partitions(RELEASE)))[:NEWEST_DAYS]
    for one in days:
        found = list(releases_of(store, one))
        others = [release for release, odd in found if odd and release.manifest.digest.startswith(digest)]
        if others:
            own = [release for release, odd in found if not odd]
            if not own:
                raise ArtifactError(
                    f"of {one} there is no release with the deployment's settings to compare with: `recsys run "
                    f"batch_daily {one}` makes it"
                )
            return Pair(own[0], others[0])
    where = f"of {day}" if day else f"in the newest {len(days)} days with a release"
    raise SettingError(
        f"there is no experiment {where}{f' whose digest begins with {digest}' if digest else ''}: a run with another "
        "setting makes one, as `recsys run batch_daily DAY --set models/als.reg=0.2`"
    )


def releases_of(store: ArtifactStore, day: str) -> Iterator[tuple[Artifact, bool]]:
    """Every release of a day, the current one first and then the newest, and whether it is an experiment."""
    current, found = store.current_version(RELEASE, day), versions(store, RELEASE, day)
    for name in sorted(found, key=lambda one: (one == current, found[one].created_at), reverse=True):
        release = store.version(RELEASE, day, name)
        yield release, was_experiment(store, release)


def compared(store: ArtifactStore, pair: Pair) -> tuple[Comparison, ComparedReleases]:
    """Both releases judged on the day's test rows, and what is to be told of them."""
    fold = Fold.load(_input(store, pair.own, FOLD).path)
    behind = [
        one
        for release in (pair.own, pair.other)
        for one in remembered(store, _input(store, release, _model_of(release)))
    ]
    trained = [Fold.load(one.path).train_and_validation for one in behind if one.manifest.recipe.key == FOLD]
    own, other = Release.load(pair.own.path), Release.load(pair.other.path)
    found = compare(own, other, fold.train_and_validation, fold.test, trained, seed=0)
    named_items = zip(*(other.catalogue[column].to_pylist() for column in ("item_id", "title")), strict=True)
    return found, ComparedReleases(
        dataset=configured_source().name,
        day=pair.day,
        digest=_input(store, pair.other, "dataset/snapshot").manifest.digest,
        settings=tuple(_settings(store, pair)),
        gate=(_gate(store, pair.own), _gate(store, pair.other)),
        titles={item: title for item, title in named_items if title},
        notes=tuple(_notes(store, pair)),
    )


def _input(store: ArtifactStore, release: Artifact, key: str) -> Artifact:
    """What a release was made from; raises `ArtifactError` where it is gone."""
    found = input_of(store, release, key)
    if found is None:
        raise ArtifactError(f"{key} of {release.manifest.recipe.partition}, which a release was made from, is gone")
    return found


def _settings(store: ArtifactStore, pair: Pair) -> Iterator[SettingRow]:
    own, other = (settings_behind(store, release.manifest) for release in (pair.own, pair.other))
    for name in dict.fromkeys([*own, *other]):
        one, two = own.get(name), other.get(name)
        if one is None or two is None or not is_same(one.value, two.value):
            yield SettingRow(name, one.told() if one else "–", two.told() if two else "–")


def _gate(store: ArtifactStore, release: Artifact) -> str:
    found = decision_of(store, release.manifest.recipe.partition, release.manifest.digest)
    if found is None:
        return "undecided"
    made = Decision.load(found.path)
    return "passed" if made.promoted else f"rejected: {made.why_not}"


def _notes(store: ArtifactStore, pair: Pair) -> Iterator[str]:
    folds = [_input(store, release, FOLD).manifest.digest for release in (pair.own, pair.other)]
    if folds[0] != folds[1]:
        yield "The folds differ: both are judged on those test rows of the own release that neither learned from."


def _model_of(release: Artifact) -> str:
    """The key of the model that was released."""
    return f"models/{release.manifest.recipe.config['model']}"

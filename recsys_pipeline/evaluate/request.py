"""What is asked for on the command line, checked before anything is read or fitted."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys_pipeline.adapters.splits.reading import Reading
from recsys_pipeline.core.configs import parse_config, read_value
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.folds.protocols import PROTOCOLS
from recsys_pipeline.core.models import ModelSpec, discover
from recsys_pipeline.core.reports.accuracy.metrics import RANKING_METRICS

DAY_BY_DAY = "day_by_day"
"""The protocol that is a curve and not one cut."""
COVERAGE = "coverage"
SEPARATOR_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "bar": "|", "space": " "}
"""For characters that a shell makes hard to say."""


@dataclass(frozen=True)
class Contender:
    """A model and the settings that it is evaluated with."""

    spec: ModelSpec
    config: Any


@dataclass(frozen=True)
class GivenSplit:
    """Files that somebody else has split."""

    train: tuple[Path, ...]
    """They add up."""
    test: Path
    negatives: Path | None


@dataclass(frozen=True)
class CutFile:
    """One file, and how it is to be cut."""

    data: Path
    protocol: str
    test_share: float | None
    lines_are_in_order: bool
    """Whether rows of one user and instant came in the order of their lines."""


@dataclass(frozen=True)
class CurveFile:
    """One file with times, whose last days are predicted one after the other."""

    data: Path
    days: int
    ages_days: tuple[int, ...]


@dataclass(frozen=True)
class Request:
    """Everything that decides the figures, beside the files' content."""

    files: GivenSplit | CutFile | CurveFile
    reading: Reading
    contenders: tuple[Contender, ...]
    ks: tuple[int, ...]
    relevant_min_value: float | None
    seed: int
    tie_seeds: int
    """How many orders of rows that tie in time are tried."""
    json: Path | None
    metrics: tuple[str, ...]
    """Which figures the tables show."""


def parse_request(parsed: argparse.Namespace) -> Request:
    """The options as a request; `SettingError` says which one is wrong, and what would be right."""
    files = _files(parsed)
    if parsed.seed < 0:
        raise SettingError(f"--seed {parsed.seed}: give 0 or more")
    if parsed.json is not None and not parsed.json.absolute().parent.is_dir():
        raise SettingError(f"--json {parsed.json}: there is no folder {parsed.json.absolute().parent}")
    return Request(
        files=files,
        reading=_reading(parsed),
        contenders=find_contenders(parsed.models.split(","), parsed.overrides),
        ks=_list_lengths(parsed.k),
        relevant_min_value=parsed.relevant_min_value,
        seed=parsed.seed,
        tie_seeds=_tie_seeds(parsed, files),
        json=parsed.json,
        metrics=_metrics(parsed.metrics),
    )


def _reading(parsed: argparse.Namespace) -> Reading:
    columns = None if parsed.columns is None else tuple(name.strip() for name in parsed.columns.split(","))
    return Reading(
        format=parsed.format,
        columns=columns,
        separator=SEPARATOR_NAMES.get(parsed.separator, parsed.separator),
        encoding=parsed.encoding,
        quote=parsed.quote,
        header=parsed.header,
        time_format=parsed.time_format,
        time_zone=parsed.time_zone,
    )


def find_contenders(names: Sequence[str], overrides: Sequence[str]) -> tuple[Contender, ...]:
    """The registered models with their settings; `overrides` are `model.field=value` (`read_value`).

    Raises `SettingError` for a name that is not registered or stands there twice, and for a setting that is unknown,
    out of bounds, or of a model that is not evaluated.
    """
    specs = {name: spec for name, spec in discover().items() if spec.data == "interactions"}
    wanted = [name.strip() for name in names]
    for name in wanted:
        if name not in specs:
            raise SettingError(f"--models: {name!r} is no model of interactions; there are {', '.join(specs)}")
        if wanted.count(name) > 1:
            raise SettingError(f"--models: {name} stands there twice")
    values: dict[str, dict[str, Any]] = {name: {} for name in wanted}
    for override in overrides:
        target, separator, text = override.partition("=")
        model, dot, field = target.partition(".")
        if not separator or not dot:
            raise SettingError(f"--set {override}: write model.field=value, such as als.reg=0.01")
        if model not in values:
            raise SettingError(f"--set {override}: {model} is not among --models {','.join(wanted)}")
        values[model][field] = read_value(text, f"--set {override}")
    return tuple(Contender(specs[name], parse_config(specs[name].config, values[name], name)) for name in wanted)


def _tie_seeds(parsed: argparse.Namespace, files: GivenSplit | CutFile | CurveFile) -> int:
    if parsed.tie_seeds < 1:
        raise SettingError(f"--tie-seeds {parsed.tie_seeds}: try at least one order")
    if parsed.tie_seeds == 1:
        return 1
    if not isinstance(files, CutFile):
        raise SettingError("--tie-seeds orders rows of one instant: only cuts of --data within a user's rows need that")
    if files.lines_are_in_order:
        raise SettingError("--tie-order lines leaves no order to be drawn: leave out --tie-seeds")
    return parsed.tie_seeds


def _files(parsed: argparse.Namespace) -> GivenSplit | CutFile | CurveFile:
    if parsed.data is not None:
        given = [name for name in ("train", "test", "negatives") if getattr(parsed, name) is not None]
        if given:
            raise SettingError(f"--data is one file that is cut here: leave out --{given[0]}")
        if parsed.protocol is None:
            raise SettingError(f"--data needs --protocol: {', '.join(PROTOCOLS)} or {DAY_BY_DAY}")
        if parsed.protocol == DAY_BY_DAY:
            return _curve_file(parsed)
        for name in ("days", "ages"):
            if getattr(parsed, name) is not None:
                raise SettingError(f"--{name} belongs to --protocol {DAY_BY_DAY}")
        return CutFile(parsed.data, parsed.protocol, parsed.test_share, parsed.tie_order == "lines")
    if parsed.train is None or parsed.test is None:
        raise SettingError("give --train and --test, or --data with --protocol")
    if parsed.protocol is not None or parsed.test_share is not None:
        raise SettingError("--protocol and --test-share cut --data; the split of --train and --test is given")
    return GivenSplit(tuple(parsed.train), parsed.test, parsed.negatives)


def _curve_file(parsed: argparse.Namespace) -> CurveFile:
    if parsed.test_share is not None:
        raise SettingError(f"{DAY_BY_DAY} has no test share: a day is what is tested; --days says how many")
    days = 7 if parsed.days is None else parsed.days
    if days < 1:
        raise SettingError(f"--days {days}: predict at least one")
    ages = "0" if parsed.ages is None else parsed.ages
    try:
        return CurveFile(parsed.data, days, tuple(int(part) for part in ages.split(",")))
    except ValueError as error:
        raise SettingError(f"--ages {ages}: give whole days, such as 0,1,7,14") from error


def _metrics(text: str) -> tuple[str, ...]:
    """Metrics that have a figure at each list length."""
    known = [*(name for name, metric in RANKING_METRICS.items() if metric.has_cutoff), COVERAGE]
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in known:
            raise SettingError(f"--metrics {text}: {name!r} is none that is shown; there are {', '.join(known)}")
    return tuple(dict.fromkeys(names))


def _list_lengths(text: str) -> tuple[int, ...]:
    try:
        ks = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise SettingError(f"--k {text}: give whole numbers, such as 10,20") from error
    if min(ks) < 1 or len(set(ks)) < len(ks):
        raise SettingError(f"--k {text}: give distinct list lengths, each 1 or more")
    return tuple(sorted(ks))

"""Read, cut, fit, evaluate: from a request to what is printed and written."""

import dataclasses
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import Progress as ProgressBar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from recsys_pipeline.adapters.splits.checks import shown_rows
from recsys_pipeline.adapters.splits.files import OneFile, ReadFile, read_interactions, read_split
from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.folds.protocols import PROTOCOLS, EvaluationSplit, cut
from recsys_pipeline.core.progress import Progress
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult
from recsys_pipeline.core.reports.accuracy.resampling import (
    Difference,
    Estimate,
    best_against_others,
    ranking_estimates,
)
from recsys_pipeline.evaluate.notes import result_notes
from recsys_pipeline.evaluate.reading import show_files
from recsys_pipeline.evaluate.request import Contender, CutFile, GivenSplit, Request
from recsys_pipeline.evaluate.tie_orders import TieSpread, tie_spread

PRIMARY = "ndcg"
ENOUGH_USERS = 20
"""Fewer test users may all be missed by chance."""


@dataclass(frozen=True)
class Task:
    """What every model is given: the cut, the negatives, and where it all comes from."""

    split: EvaluationSplit
    negatives: Ratings | None
    protocol: str
    files: Mapping[str, ReadFile]
    notes: tuple[str, ...]
    recut: Callable[[int], EvaluationSplit] | None = None
    """The same cut with rows of one instant in another order, by the seed of that; None where the split is given."""


@dataclass(frozen=True)
class Judged:
    """One model's figures, and the seconds that they took."""

    contender: Contender
    result: RankingResult
    estimates: tuple[Estimate, ...]
    fit_s: float
    evaluate_s: float


@dataclass(frozen=True)
class Evaluation:
    """Everything that came out, for the table and for the JSON."""

    request: Request
    task: Task
    judged: tuple[Judged, ...]
    """In the order of the primary metric at the first list length, best first."""
    differences: tuple[Difference, ...]
    """Of the best model from each other one."""
    notes: tuple[str, ...]
    tie_spread: tuple[TieSpread, ...]
    """Of each figure over `--tie-seeds` orders of rows that tie in time; empty where one order was taken."""
    seconds: float


def evaluate(request: Request, files: GivenSplit | CutFile, console: Console) -> Evaluation:
    """Do what is asked for; `console` is told what goes on. Raises what reading, cutting and fitting raise."""
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        task = read_task(request, files, console)
        judged = [_judge(contender, task, request, console) for contender in request.contenders]
        first = request.ks[0]
        results = [row.result for row in judged]
        with _Step(console, "comparing the models"):
            differences = best_against_others(results, request.seed, PRIMARY, first)
        spread = _spread(task, results, request, console)
    judged.sort(key=lambda row: -row.result.mean(PRIMARY, first))
    notes = tuple(
        dict.fromkeys(
            [
                *_check_hits(judged, task),
                *task.notes,
                *_dislikes(task, request),
                *result_notes(results, task.split, first),
                *_said(caught),
            ]
        )
    )
    return Evaluation(request, task, tuple(judged), tuple(differences), notes, spread, time.perf_counter() - started)


def read_task(request: Request, files: GivenSplit | CutFile, console: Console) -> Task:
    """Read the files, and cut them where the split is not given."""
    started = time.perf_counter()
    with _Step(console, "reading the files"):
        task = _given_task(files, request) if isinstance(files, GivenSplit) else _cut_task(files, request)
    show_files(task.files, console)
    train = task.split.train
    console.print(
        f"{'':<10}{train.n_users:,} users × {train.n_items:,} items, read in {time.perf_counter() - started:.1f} s"
    )
    return task


def _given_task(given: GivenSplit, request: Request) -> Task:
    found = read_split(given.train, given.test, given.negatives, request.reading)
    return Task(EvaluationSplit(found.train, found.train, found.test), found.negatives, "given split", found.files, ())


def _cut_task(one: CutFile, request: Request) -> Task:
    found = read_interactions(one.data, request.reading, one.lines_are_in_order)
    _check_order(found, one.protocol)

    def recut(tie_seed: int) -> tuple[EvaluationSplit, str]:
        order = found.file.layout.knows_order
        return cut(found.ratings, one.protocol, one.test_share, request.seed, knows_order=order, tie_seed=tie_seed)

    split, sentence = recut(0)
    repeated = f"{found.n_repeated:,} rows left out: a later one has the same user and item"
    notes = [repeated] if found.n_repeated else []
    if split.n_users_cut_in_a_tie:
        notes.append(_tie_note(split, found.file.layout.has_times, request.tie_seeds))
    files = {"data": found.file}
    return Task(split, None, f"{one.protocol}: {sentence}", files, tuple(notes), lambda seed: recut(seed)[0])


def _tie_note(split: EvaluationSplit, has_times: bool, tie_seeds: int) -> str:
    """How much of the cut was drawn, since rows of one instant have no order of their own."""
    n_tested = len(np.unique(split.test.user))
    cut_in_a_tie = split.n_users_cut_in_a_tie
    share = f"of {cut_in_a_tie:,} of {n_tested:,} test users ({cut_in_a_tie / n_tested:.0%})"
    why = "rows of one instant" if has_times else "rows without times"
    more = "" if tie_seeds > 1 else "; --tie-seeds 10 shows how far the figures move with that"
    return f"what is tested {share} was drawn among {why}{more}"


def _spread(task: Task, first: list[RankingResult], request: Request, console: Console) -> tuple[TieSpread, ...]:
    if request.tie_seeds == 1 or task.recut is None:
        return ()

    def judge(split: EvaluationSplit) -> list[RankingResult]:
        again = dataclasses.replace(task, split=split)
        return [_judge(contender, again, request, console).result for contender in request.contenders]

    return tie_spread(first, task.recut, judge, request.tie_seeds)


def _check_order(found: OneFile, protocol: str) -> None:
    """One time in all rows is no order: what came last would be drawn by lot."""
    at_us = found.ratings.timestamp_us
    needs_order = protocol in PROTOCOLS and PROTOCOLS[protocol].needs_order
    if needs_order and found.file.layout.has_times and at_us.min() == at_us.max():
        raise DataError(
            f"{found.file.path}: all rows have one time ({found.file.layout.describe()}), and {protocol} tests what "
            "came last: say which column holds the times with --columns, or use another protocol"
        )


def _judge(contender: Contender, task: Task, request: Request, console: Console) -> Judged:
    name, split = contender.spec.name, task.split
    if not console.is_terminal:
        console.print(f"fitting {name} …")
    started = time.perf_counter()
    with _Step(console, f"fitting {name}") as step:
        model = contender.spec.fit(split.train, contender.config, request.seed, step.progress)
        if split.folds_in:
            model = model.for_users(split.known)
    fitted = time.perf_counter()
    with _Step(console, f"evaluating {name}"):
        result = evaluate_ranking(
            model, split.known, split.test, request.ks, request.relevant_min_value, name=name, negatives=task.negatives
        )
        estimates = tuple(ranking_estimates(result, request.seed))
    done = time.perf_counter()
    console.print(f"{name:<14} fitted in {fitted - started:.1f} s, evaluated in {done - fitted:.1f} s")
    return Judged(contender, result, estimates, fitted - started, done - fitted)


def _check_hits(judged: Sequence[Judged], task: Task) -> list[str]:
    """A note where no model finds anything for anybody: most often a column was read as what it is not.

    Raises `DataError` where only the content said which column is which.
    """
    results = [row.result for row in judged]
    longest = max(results[0].ks)
    if results[0].n_users < ENOUGH_USERS or any(result.mean(PRIMARY, longest) != 0.0 for result in results):
        return []
    why = f"no model finds a test item of any of {results[0].n_users:,} users in its first {longest} places"
    rows = "; ".join(f"{part}: {shown_rows(file.first_rows)}" for part, file in task.files.items())
    if any(file.layout.is_guessed for file in task.files.values()):
        raise DataError(
            f"{why}, and which column is which was told from the content alone: say it with --columns. First rows as "
            f"read: {rows}"
        )
    return [f"{why}: check how the files were read (first rows: {rows}), and --columns"]


def _dislikes(task: Task, request: Request) -> list[str]:
    """A row below zero says that somebody did not like it, and counts as a hit where no least value is asked for."""
    n_below = int((task.split.test.value < 0).sum())
    if request.relevant_min_value is not None or not n_below:
        return []
    return [
        f"{n_below:,} test rows have values below 0 and count as hits: --relevant-min-value says from where they do"
    ]


def _said(caught: list[warnings.WarningMessage]) -> list[str]:
    """What the core warned of, as notes; warnings of any other kind go on to where they would have gone."""
    for warning in caught:
        if not issubclass(warning.category, UserWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]


class _Step:
    """A spinner with the seconds so far; nothing in a pipe."""

    def __init__(self, console: Console, text: str) -> None:
        columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
        self._shown = ProgressBar(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._shown.add_task(text, total=None)
        self._text = text

    def __enter__(self) -> "_Step":
        self._shown.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._shown.stop()

    @property
    def progress(self) -> Progress | None:
        """Epochs beside the spinner; their figures cost a pass over the data, so only where somebody sees them."""
        if self._shown.disable:
            return None
        return lambda label, _: self._shown.update(self._task, description=f"{self._text}: {label}")

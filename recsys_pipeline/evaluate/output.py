"""What an evaluation leaves behind: a table for people, JSON for programs."""

import json
import math
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from recsys_pipeline.adapters.store.versions import code_of, library_versions
from recsys_pipeline.core.reports.accuracy.resampling import Estimate
from recsys_pipeline.evaluate.notes import leaders
from recsys_pipeline.evaluate.request import CutFile, Request
from recsys_pipeline.evaluate.run import PRIMARY, Evaluation
from recsys_pipeline.evaluate.tie_orders import print_spread

LABELS = {"ndcg": "NDCG", "map": "MAP", "mrr": "MRR", "hit_rate": "hit rate"}
"""Metrics whose name is not their label; the JSON holds every metric."""
SAMPLED = (
    "Sampled: each user's test items are ranked among the given negatives only. Such figures compare with those of "
    "papers on the same negatives, and can reverse the order that a full ranking gives (Krichene and Rendle, KDD 2020)."
)
FULL = "Full ranking: every item of the files that the user has not seen competes."


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """One table per list length, what the figures are, and what is to be known about them."""
    for k in evaluation.request.ks:
        console.print()
        console.print(_table(evaluation, k))
    if evaluation.tie_spread:
        labels = {metric: _label(metric) for metric in evaluation.request.metrics}
        print_spread(evaluation.tie_spread, labels, evaluation.request.ks[0], console)
    sampled = evaluation.task.negatives is not None
    console.print(f"[yellow]{SAMPLED}[/yellow]" if sampled else FULL)
    console.print(f"Split: {evaluation.task.protocol}. Intervals: 95%, bootstrap over users.")
    if evaluation.differences:
        console.print(_verdict(evaluation))
    for note in evaluation.notes:
        console.print(f"Note: {note}.", markup=False)


def write_json(document: dict[str, Any], path: Path) -> None:
    """The document as strict JSON: what is undefined must be null in it."""
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _table(evaluation: Evaluation, k: int) -> Table:
    users = evaluation.judged[0].result.n_users
    sampled = ", SAMPLED" if evaluation.task.negatives is not None else ""
    table = Table(title=f"{users:,} users, first {k} places{sampled} [95% interval]", title_justify="left")
    table.add_column("model")
    for metric in evaluation.request.metrics:
        table.add_column(f"{_label(metric)}@{k}", justify="right")
    for judged in evaluation.judged:
        figures = {(row.metric, row.k): row for row in judged.estimates}
        table.add_row(judged.result.model, *(_figure(figures[metric, k]) for metric in evaluation.request.metrics))
    return table


def _label(metric: str) -> str:
    return LABELS.get(metric, metric.replace("_", " "))


def _figure(row: Estimate) -> str:
    if math.isnan(row.value):
        return "undefined"
    if math.isnan(row.low):  # of all users together: it has no interval over them
        return _short(row.value, 4)
    return f"{_short(row.value, 4)} [dim]\\[{_short(row.low, 3)} {_short(row.high, 3)}][/dim]"


def _short(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".removeprefix("0")


def _verdict(evaluation: Evaluation) -> str:
    """Who is best, and who cannot be told from it. A model that tells no item from another is not called best."""
    k = evaluation.request.ks[0]
    first = leaders([judged.result for judged in evaluation.judged], PRIMARY, k)
    names = [result.model for result in first]
    rows = [row for row in evaluation.differences if (row.metric, row.k) == (PRIMARY, k) and row.baseline not in names]
    close = [row.baseline for row in rows if not row.is_clear]
    figure, equal = f"{_label(PRIMARY)}@{k}", ", which are equal" if len(names) > 1 else ""
    best = f"Best by {figure}: {' and '.join(names)}{equal}"
    if all(result.n_silent == result.n_users for result in first):
        best = f"No model is best by {figure}: {' and '.join(names)} at the top tell no item from another (chance)"
    if not rows:
        return f"{best}."
    if not close:
        return f"{best}; the others are clearly behind (paired test over the same users, 5%, Holm)."
    return f"{best}; not clearly behind (paired test over the same users, 5%, Holm): {', '.join(close)}."


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """Settings, files with digests, versions, and every figure; what is undefined is null."""
    request, task, split = evaluation.request, evaluation.task, evaluation.task.split
    return {
        "protocol": task.protocol,
        "sampled": task.negatives is not None,
        "what_competes": FULL if task.negatives is None else SAMPLED,
        "notes": list(evaluation.notes),
        "settings": _settings(request),
        "files": {
            part: {
                "path": str(file.path),
                "sha256": file.digest,
                "pairs": file.n_rows,
                "read_as": file.layout.describe(),
                "why": list(file.layout.reasons),
            }
            for part, file in task.files.items()
        },
        "data": {
            "users": split.train.n_users,
            "items": split.train.n_items,
            "train_rows": len(split.train),
            "known_rows": len(split.known),
            "test_rows": len(split.test),
            "users_cut_in_a_tie": None if task.recut is None else split.n_users_cut_in_a_tie,
            "negatives": None if task.negatives is None else len(task.negatives),
        },
        "models": [
            {
                "model": judged.result.model,
                "config": asdict(judged.contender.config),
                "fit_seconds": round(judged.fit_s, 3),
                "evaluate_seconds": round(judged.evaluate_s, 3),
                "users": judged.result.n_users,
                "silent_users": judged.result.n_silent,
                "figures": [_plain(asdict(row), "model") for row in judged.estimates],
            }
            for judged in evaluation.judged
        ],
        "tie_spread": [_plain(asdict(row)) for row in evaluation.tie_spread],
        "differences": [_plain(asdict(row)) for row in evaluation.differences],
        "seconds": round(evaluation.seconds, 3),
        "versions": versions(),
    }


def _settings(request: Request) -> dict[str, Any]:
    return {
        "ks": list(request.ks),
        "relevant_min_value": request.relevant_min_value,
        "seed": request.seed,
        "tie_seeds": request.tie_seeds,
        **(_cut_settings(request.files) if isinstance(request.files, CutFile) else {}),
        **asdict(request.reading),
    }


def versions() -> dict[str, str]:
    """What the figures were made with."""
    code = code_of([("recsys_pipeline.evaluate.run", "evaluate"), ("recsys_pipeline.evaluate.curve", "evaluate_curve")])
    own = {"recsys_pipeline": version("recsys_pipeline"), "code": code.digest}
    return {**own, **library_versions(code), "python": platform.python_version()}


def _cut_settings(files: CutFile) -> dict[str, Any]:
    return {
        "protocol": files.protocol,
        "test_share": files.test_share,
        "tie_order": "lines" if files.lines_are_in_order else "hash",
    }


def _plain(record: dict[str, Any], *without: str) -> dict[str, Any]:
    """JSON has no NaN."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
        if name not in without
    }

"""The page of a sweep: what was found, where good trials lie, which parameters matter, and every trial; one file."""

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import jinja2
import numpy as np
import yaml
from markupsafe import Markup

from recsys_pipeline.core.learning.sweeps.importance import (
    LEAST_TRIALS,
    importance,
    is_numeric,
    n_equal,
    why_unknown,
)
from recsys_pipeline.core.learning.sweeps.known_points import end_of_space
from recsys_pipeline.core.learning.sweeps.sweep import SweepResult
from recsys_pipeline.core.learning.sweeps.trials import FAILED, FINISHED, STOPPED, Trial
from recsys_pipeline.core.reports.accuracy.against_baseline import verdict
from recsys_pipeline.core.reports.page import plots, sweep_plots
from recsys_pipeline.core.reports.page.page import (
    Cell,
    Html,
    Plot,
    Plots,
    ReportData,
    Section,
    Table,
    render_page,
)
from recsys_pipeline.core.reports.page.sweep_plots import BEST_SHARE, ends, place, written

GUIDE = (
    "Each line is a trial, from its parameters down to what it reached; further to the right is better in the last "
    "row. Point at a line, tap it, or choose a row of the table to see that trial."
)


def render_sweep(result: SweepResult, day: str, digest: str, engine: str) -> str:
    """The page; `engine` says in words who proposed the trials. The same trials give the same text."""
    sweep, trials = result.sweep, result.tried
    states = [trial.state for trial in trials]
    counted = [(state, states.count(state)) for state in (FINISHED, STOPPED, FAILED) if state in states]
    facts = (
        ("trials", f"{len(trials)}"),
        *((state, f"{count}") for state, count in counted if count < len(trials)),
        (f"best {sweep.metric}", written(best_value(result))),
        *((("taken", _taken(result)),) if result.comparison else ()),
        *((("space", over),) if (over := end_of_space(sweep, trials)) else ()),
        ("time in trials", _duration(sum(trial.seconds for trial in result.trials))),
    )
    sections = (
        *([_verdict_section(result)] if result.comparison else ()),
        _search_section(result),
        Section("parameters", "Parameters", (Html(_coordinates(result)),)),
        Section("trials", "Trials", (Html(_table(result)),)),
        _definition_section(result, engine),
    )
    return render_page(ReportData(f"Sweep {sweep.name}", day, digest, facts, sections, _warnings(result.trials)))


def _taken(result: SweepResult) -> str:
    return "none" if result.chosen is result.baseline else f"trial {result.chosen.number}"


def _verdict_section(result: SweepResult) -> Section:
    """Which settings models take, why, and in what the two that were compared differ."""
    compared, baseline, metric = result.comparison, result.baseline, result.sweep.metric
    pair = [trial for trial in (baseline, result.best) if trial is not None]
    gain = compared.gain if compared else None
    configs = [vars(result.config_of(trial)) for trial in pair]
    names = [name for name in configs[0] if len({str(config[name]) for config in configs}) > 1]
    heads = ["", *("in use" if trial is baseline else f"trial {trial.number}" for trial in pair)]
    figures = [(f"{metric}, search", [_cell(trial.metrics.get(metric))[0] for trial in pair])]
    caption = ""
    if gain:
        figures.append((f"{metric}, apart", [_cell(value)[0] for value in (gain.baseline, gain.best)]))
        caption = f"Apart: on {gain.n} {gain.unit} that steered no trial, because of many the best looks too good"
    figures += [(name, [written(config[name]) for config in configs]) for name in names]
    rows = tuple((Cell(name), *map(Cell, values)) for name, values in figures)
    table = Table(tuple(heads), rows, caption, textual=True)
    return Section("verdict", "Verdict", (table,), verdict(result))


def _search_section(result: SweepResult) -> Section:
    sweep, trials = result.sweep, result.tried
    shares, unknown = importance_of(result), why_unknown_of(result)
    progress = Plot(
        "Best so far",
        plots.sweep_progress(scores_of(result, finished=True), sweep.metric, sweep.minimise),
        f"{sweep.metric} of each of {len(trials)} trials and the best until then; best {written(best_value(result))}.",
        "Trials that were stopped early are left out.",
    )
    bars = Plot(
        "Importance",
        sweep_plots.importance_bars(shares, unknown),
        "; ".join(f"{name} {share:.0%}" for name, share in shares.items()) or unknown or "no parameter varies",
        "How differently the best quarter of the trials lies in a parameter's range (PED-ANOVA).",
    )
    varied = [name for name, column in _columns(result, trials).items() if len(set(map(str, column))) > 1]
    chosen = ", ".join(f"{name} {written(result.best.params[name])}" for name in varied)
    top = next(iter(shares), "")
    found = f"{sweep.metric} {written(best_value(result))}"
    headline = f"Trial {result.best.number} is the best of {len(trials)}: {found}"
    if result.best.is_baseline:
        headline = f"The settings in use are better than each of {len(trials)} trials: {found}"
    if (n_best := n_best_of(result)) > 1:
        headline = (
            f"{n_best} of {len(trials)} trials come to the best {sweep.metric}, {written(best_value(result))}, and "
            f"cannot be told apart; trial {result.best.number} is the first of them"
        )
    headline += f" with {chosen}." if chosen else "."
    if top:
        headline += f" What matters most is {top} ({shares[top]:.0%})."
    elif len(trials) >= LEAST_TRIALS and unknown:
        headline += f" What matters is unknown: {unknown}."
    return Section("search", "Search", (Plots((progress, bars)),), headline)


def best_value(result: SweepResult) -> float:
    """The metric of the best trial."""
    return result.best.metrics[result.sweep.metric]


def scores_of(result: SweepResult, finished: bool = False) -> list[float]:
    """The metric of every trial, in order; NaN where it has none, and with `finished` where it was stopped early."""
    return [math.nan if finished and trial.state != FINISHED else _score(result, trial) for trial in result.trials]


def n_best_of(result: SweepResult) -> int:
    """How many trials that finished share the best value."""
    return n_equal([score for score in scores_of(result, finished=True) if math.isfinite(score)], best_value(result))


def importance_of(result: SweepResult) -> dict[str, float]:
    """The importance of the parameters by all trials that have a value."""
    return importance(*_known(result), result.sweep.minimise)


def why_unknown_of(result: SweepResult) -> str:
    """Why nothing can be said of importance; empty where something can."""
    return why_unknown(*_known(result), result.sweep.minimise)


def _known(result: SweepResult) -> tuple[list[dict[str, Any]], list[float]]:
    """Parameters and values of the trials that have a value; the settings in use may lie outside of the space."""
    known = [trial for trial in result.tried if math.isfinite(_score(result, trial))]
    params = [result.searched(trial) for trial in known]
    return params, [_score(result, trial) for trial in known]


def _score(result: SweepResult, trial: Trial) -> float:
    return math.nan if trial.state == FAILED else float(trial.metrics.get(result.sweep.metric, math.nan))


def _columns(result: SweepResult, trials: Sequence[Trial]) -> dict[str, list[Any]]:
    return {name: [trial.params[name] for trial in trials] for name in result.sweep.parameters}


def _best_first(result: SweepResult) -> list[Trial]:
    """Trials with a value by that, then the others by number."""
    sign = 1 if result.sweep.minimise else -1
    scores = {trial.number: _score(result, trial) for trial in result.trials}
    return sorted(
        result.trials,
        key=lambda trial: (
            math.isnan(scores[trial.number]),
            sign * scores[trial.number] if math.isfinite(scores[trial.number]) else 0.0,
            trial.number,
        ),
    )


def _coordinates(result: SweepResult) -> Markup:
    """Rows and lines; lines are in thousandths of the width, and in rows, so that they stretch to any screen."""
    ranked = [trial for trial in _best_first(result) if math.isfinite(_score(result, trial))]
    columns = {name: column for name, column in _columns(result, ranked).items() if len(set(map(str, column))) > 1}
    scores = [_score(result, trial) for trial in ranked]
    places = [place(column) for column in columns.values()]
    own = place(scores)
    places.append(1 - own if result.sweep.minimise else own)
    rows = [(name, *ends(column)) for name, column in columns.items()]
    low, high = ends(scores)
    rows.append((result.sweep.metric, *((high, low) if result.sweep.minimise else (low, high))))
    n_best = max(1, math.ceil(BEST_SHARE * len(ranked)))
    lines = [
        {
            "trial": trial.number,
            "in_use": trial.is_baseline,
            "points": " ".join(f"{1000 * x:.0f},{y}" for y, x in enumerate(np.stack(places)[:, rank])),
            "kind": [_kind(trial, rank, n_best), trial.state],
        }
        for rank, trial in reversed(list(enumerate(ranked)))
    ]
    lines.sort(key=lambda line: line["in_use"])  # the last is drawn on top
    return _rendered("sweep_lines.html.j2", guide=GUIDE, rows=rows, lines=lines, best=result.best.number)


def _kind(trial: Trial, rank: int, n_best: int) -> str:
    if trial.is_baseline:
        return "in-use best" if rank == 0 else "in-use"
    return "best" if rank == 0 else "good" if rank < n_best else ""


def _table(result: SweepResult) -> Markup:
    """Every trial, best first; the columns that people compare by come first."""
    trials, metric = _best_first(result), result.sweep.metric
    others = sorted({name for trial in trials for name in trial.metrics} - {metric})
    columns = _columns(result, trials)
    varied = [name for name, column in columns.items() if len(set(map(str, column))) > 1]
    fixed = {name: column[0] for name, column in columns.items() if name not in varied}
    heads = ["trial", metric, *varied, "state", *others, "seconds"]
    rows = [(trial, [_cell(value) for value in _values(trial, metric, varied, others)]) for trial in trials]
    return _rendered(
        "sweep_table.html.j2",
        heads=heads,
        rows=rows,
        best=result.best.number,
        fixed=", ".join(f"{name} {written(value)}" for name, value in fixed.items()),
        failed=[trial for trial in trials if trial.error],
    )


def _values(trial: Trial, metric: str, varied: Sequence[str], others: Sequence[str]) -> list[Any]:
    state = f"stopped at {max(trial.rungs)}" if trial.state == STOPPED and trial.rungs else trial.state
    figures = [trial.metrics.get(name) for name in (metric, *others)]
    return [figures[0], *(trial.params[name] for name in varied), state, *figures[1:], round(trial.seconds, 3)]


def _cell(value: Any) -> tuple[str, str]:
    """(what is shown, what is sorted by)."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–", ""
    if isinstance(value, float):
        return f"{value:.4g}", repr(value)
    return str(value), str(value) if is_numeric([value]) else str(value).lower()


def _definition_section(result: SweepResult, engine: str) -> Section:
    sweep, config = result.sweep, vars(result.chosen_config)
    rows = [("proposed by", engine), ("method", sweep.method), ("decides", f"{sweep.metric} ({sweep.goal})")]
    if rule := sweep.early_terminate:
        rung = f"from epoch {rule.min_iter}" if rule.min_iter else f"before epoch {rule.max_iter}"
        rows.append(("stops early", f"all but the best 1/{rule.eta:g} at each rung, {rung}"))
    summary = Table(("sweep", ""), tuple((Cell(name), Cell(text)) for name, text in rows), textual=True)
    chosen = tuple((Cell(name), Cell(str(value))) for name, value in config.items())
    best = Table(("field", "value"), chosen, "The settings that models take, whole", folded=True, textual=True)
    text = yaml.safe_dump(dict(sweep.definition), sort_keys=False, allow_unicode=True)
    return Section("definition", "Definition", (summary, best, Html(_rendered("sweep_yaml.html.j2", text=text))))


def _warnings(trials: Sequence[Trial]) -> tuple[str, ...]:
    failed = [trial for trial in trials if trial.state == FAILED]
    if not failed:
        return ()
    if len(failed) == 1:
        return (f"Trial {failed[0].number} failed: {failed[0].error}",)
    return (f"{len(failed)} of {len(trials)} trials failed; the first said: {failed[0].error}",)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _rendered(template: str, **values: Any) -> Markup:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    source = files("recsys_pipeline.core.reports.page").joinpath(template).read_text(encoding="utf-8")
    return Markup(environment.from_string(source).render(**values))


def trial_rows(result: SweepResult) -> list[Mapping[str, Any]]:
    """The trials as rows of a table: number, state, params, metrics, where it was stopped and why it failed."""
    return [
        {
            "trial": trial.number,
            "state": trial.state,
            **result.searched(trial),
            **trial.metrics,
            "stopped_at": max(trial.rungs) if trial.state == STOPPED and trial.rungs else None,
            "seconds": round(trial.seconds, 3),
            "run_id": trial.run_id,
            "error": trial.error,
        }
        for trial in result.trials
    ]

"""How long a sweep will take, from trials that were measured."""

import math
from collections.abc import Sequence

from recsys_pipeline.core.learning.sweeps.space import Sweep
from recsys_pipeline.core.learning.sweeps.trials import FINISHED, STOPPED, Trial


def epochs_of(sweep: Sweep, trial: Trial) -> int:
    """Epochs that a trial trained; a failed one may have trained fewer than are counted. 1 where a config has none."""
    if trial.state == STOPPED and trial.rungs:
        return max(trial.rungs)
    return int(trial.params.get("epochs", _fixed_epochs(sweep)))


def _fixed_epochs(sweep: Sweep) -> int:
    return int(sweep.base.get("epochs", getattr(sweep.config(), "epochs", 1)))


def expected_epochs(sweep: Sweep) -> float:
    """Epochs of a trial, in the mean over a list of choices, in the middle of a distribution."""
    parameter = sweep.parameters.get("epochs")
    if parameter is None:
        return float(_fixed_epochs(sweep))
    if parameter.quantile is not None:
        return float(parameter.quantile(0.5))
    return sum(float(choice) * weight for choice, weight in parameter.possible or ())


def expected_seconds(sweep: Sweep, trials: Sequence[Trial], n_trials: int) -> float:
    """Seconds that so many further trials take, by those that finished; NaN where none took any time.

    The settings in use are a measure only until there is a trial of the sweep itself.
    """
    measured = [trial for trial in trials if trial.state == FINISHED and trial.seconds > 0]
    own = [trial for trial in measured if not trial.is_baseline] or measured
    if not own:
        return math.nan
    seconds_per_epoch = sum(trial.seconds for trial in own) / max(sum(epochs_of(sweep, trial) for trial in own), 1)
    return n_trials * seconds_per_epoch * expected_epochs(sweep)


def planned_trials(sweep: Sweep, n_trials: int) -> int:
    """Trials of a sweep besides the settings in use: fewer than asked for where the file or the space ends first."""
    return int(min(n_trials, sweep.run_cap or n_trials, sweep.size))


def duration_words(seconds: float) -> str:
    """As one says it.

    >>> [duration_words(seconds) for seconds in (0.4, 42, 89, 170, 5400)]
    ['1 s', '42 s', '1.5 minutes', '3 minutes', '90 minutes']
    """
    if seconds < 60:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.1f} minutes" if seconds < 100 else f"{seconds / 60:.0f} minutes"

"""Whether the best trial of a sweep is better than the settings in use, on users (or scenes) that steered no trial."""

import numpy as np

from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.learning.sweeps.baseline import Comparison, Gain, Units
from recsys_pipeline.core.learning.sweeps.sweep import SweepResult
from recsys_pipeline.core.learning.sweeps.trials import FINISHED
from recsys_pipeline.core.reports.accuracy.resampling import INTERVAL, N_RESAMPLES, bootstrap_sums
from recsys_pipeline.core.reports.accuracy.significance import ALPHA, randomisation_p_values
from recsys_pipeline.core.reports.accuracy.validation import RMSE


def why_nothing_to_compare(result: SweepResult) -> str:
    """Why the settings in use stay without a comparison; empty where the best trial is to be compared with them."""
    baseline, metric = result.baseline, result.sweep.metric
    if baseline is None:
        return "nothing is in use to compare with"
    if baseline.state != FINISHED:
        return (
            f"they have no {metric} that trials could be compared with ({baseline.error}): "
            "give the field `baseline` settings that have it"
        )
    if result.best is baseline:
        return "no trial came out better"
    return ""


def compare(result: SweepResult, baseline: Units, best: Units, unit: str, seed: int) -> Comparison:
    """The best trial against the settings in use: taken only where a one-sided test at 5% calls it better.

    Units are paired, and their gaps of either sign equally likely where there is no difference, so that equal settings
    are taken 5 times in 100, however many trials there were. `unit` is what they are, in the plural.
    """
    if not len(baseline.ids):
        return Comparison(result.best.number, why_not=f"no {unit} are left to compare on: there are too few")
    gain = gain_of(baseline, best, result.sweep.minimise, result.sweep.metric == RMSE, unit, seed)
    return Comparison(result.best.number, gain, "" if gain.p_value < ALPHA else _not_clear(gain, result.sweep.minimise))


def gain_of(baseline: Units, best: Units, minimise: bool, is_root: bool, unit: str, seed: int) -> Gain:
    """Both figures, the interval of their difference, and the p-value; `is_root` for roots of means, as RMSE is.

    Raises `DataError` where they are not of the same units and rows.
    """
    if not np.array_equal(baseline.ids, best.ids) or not np.array_equal(baseline.rows, best.rows):
        raise DataError(f"the settings in use and the best trial were judged on different {unit}")

    def figures(sums: np.ndarray) -> np.ndarray:
        ratios = sums[:, :2] / sums[:, 2:]
        return np.sqrt(ratios) if is_root else ratios

    columns = np.stack([baseline.totals, best.totals, baseline.rows], axis=1)
    drawn = figures(bootstrap_sums(columns, seed, N_RESAMPLES))
    low, high = np.quantile(drawn[:, 1] - drawn[:, 0], INTERVAL)
    gaps = (best.totals - baseline.totals) * (-1 if minimise else 1)
    two_sided = float(randomisation_p_values(gaps[:, None], seed)[0])
    p_value = two_sided / 2 if gaps.sum() > 0 else 1 - two_sided / 2
    before, after = figures(columns.sum(axis=0)[None])[0]
    return Gain(float(before), float(after), float(low), float(high), p_value, len(gaps), unit)


def verdict(result: SweepResult) -> str:
    """In words which settings are to be used, and why; empty of a sweep without settings in use."""
    compared, best = result.comparison, result.best
    if compared is None:
        return ""
    gain = compared.gain
    if gain is None:
        return f"The settings in use stay: {compared.why_not}."
    if not compared.is_taken:
        return f"The settings in use stay: trial {best.number} came out best, but {compared.why_not}."
    return (
        f"Trial {best.number} takes the place of the settings in use: on {gain.n} {gain.unit} that steered no trial "
        f"its {result.sweep.metric} is {gain.best:.4f} against {gain.baseline:.4f}, {_difference(gain)}."
    )


def _difference(gain: Gain) -> str:
    return f"{gain.best - gain.baseline:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}], p = {gain.p_value:.3f}"


def _not_clear(gain: Gain, minimise: bool) -> str:
    difference = gain.best - gain.baseline
    is_better = difference < 0 if minimise else difference > 0
    words = "not clearly better" if is_better else "no better"
    return f"on {gain.n} {gain.unit} that steered no trial it is {words} than they are: {_difference(gain)}"

"""Which parameters of a sweep matter: PED-ANOVA over its trials.

Watanabe, Bansal & Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces", IJCAI
2023, as Optuna implements it. fANOVA would need a random forest, and with it scikit-learn.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna

TOP_SHARE = 0.25
"""A parameter is important where the best quarter of the trials lies elsewhere in its range than all trials do. Optuna
takes a tenth; of the 20 trials of a small sweep that would be 2."""

LEAST_TRIALS = 8
"""Below this the best quarter is one trial or none."""
EQUAL_WITHIN = 1e-6
"""Relative difference up to which two values are the same: trials that train together add up in another order."""


def importance(params: Sequence[Mapping[str, Any]], values: Sequence[float], minimise: bool) -> dict[str, float]:
    """The importance of each parameter that varies, largest first, 1 together; empty where `why_unknown` says why.

    `params` and `values` are those of the trials whose value is known. Numbers are spread by their rank, so that it
    does not matter on which scale they were drawn.

    >>> rows = [{"reg": i / 20, "bias": i % 2 == 0} for i in range(20)]
    >>> list(importance(rows, [abs(row["reg"] - 0.3) for row in rows], minimise=True))
    ['reg', 'bias']
    """
    varied = _varied(params)
    if why_unknown(params, values, minimise) or not varied:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize" if minimise else "maximize")
    encoded = {name: _encoded(column) for name, column in varied.items()}
    for at, value in enumerate(values):
        study.add_trial(
            optuna.trial.create_trial(
                params={name: column[at] for name, (_, column) in encoded.items()},
                distributions={name: distribution for name, (distribution, _) in encoded.items()},
                value=value,
            )
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=TOP_SHARE)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in sorted(found.items(), key=lambda pair: -pair[1])}


def why_unknown(params: Sequence[Mapping[str, Any]], values: Sequence[float], minimise: bool) -> str:
    """Why nothing can be said of importance; empty where something can.

    The best quarter must differ from as many others: where trials tie, it is any of them, and the shares that come out
    of it are equal, or noise.
    """
    if len(params) < LEAST_TRIALS:
        return "too few trials to tell parameters apart"
    best_first = sorted(values, reverse=not minimise)
    n_top = math.ceil(TOP_SHARE * len(values))
    tied = n_equal(values, best_first[n_top - 1])
    n_behind = sum(not is_equal(value, best_first[n_top - 1]) for value in best_first[n_top:])
    if n_behind < n_top:
        return f"the best trials cannot be told apart: {tied} of {len(values)} come to the same"
    return ""


def is_equal(value: float, other: float) -> bool:
    """Whether two results are the same but for rounding."""
    return math.isclose(value, other, rel_tol=EQUAL_WITHIN)


def n_equal(values: Sequence[float], value: float) -> int:
    """How many results are the same as one."""
    return sum(is_equal(one, value) for one in values)


def _varied(params: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    columns = {name: [row[name] for row in params] for name in (params[0] if params else {})}
    return {name: column for name, column in columns.items() if len(set(map(str, column))) > 1}


def is_numeric(column: Sequence[Any]) -> bool:
    """Whether a parameter's values are numbers, of which truth values are none."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in column)


def _encoded(column: Sequence[Any]) -> tuple[Any, list[Any]]:
    """A distribution and the values in it: a number's rank as a share, anything else as it is written."""
    if not is_numeric(column):
        texts = [str(value) for value in column]
        return optuna.distributions.CategoricalDistribution(sorted(set(texts))), texts
    ranks = {value: rank for rank, value in enumerate(sorted(set(column)))}
    top = len(ranks) - 1
    return optuna.distributions.FloatDistribution(0.0, 1.0), [ranks[value] / top for value in column]

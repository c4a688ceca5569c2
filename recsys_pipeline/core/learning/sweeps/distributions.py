"""The distributions of W&B's sweep schema, each drawn through its quantile function from one uniform number.

So grid, random and Bayesian search share one definition of every parameter. Which keys belong to which distribution
is that of W&B's own schema (https://docs.wandb.ai/guides/sweeps/sweep-config-keys#distribution-options-for-random-and-bayesian-search).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import scipy

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.learning.sweeps.yaml_fields import known, number

Quantile = Callable[[float], float]


@dataclass(frozen=True)
class Parameter:
    """One searched field: a list of choices, or a distribution drawn through its quantile function."""

    choices: tuple[Any, ...] = ()
    probabilities: tuple[float, ...] | None = None
    quantile: Quantile | None = None
    steps: tuple[int, int, float | int] | None = None
    """First and last multiple, and the step, of a distribution of steps; None where it is continuous or has no end."""

    @property
    def possible(self) -> tuple[tuple[Any, float], ...] | None:
        """(choice, weight) of each that can be drawn; None of a distribution."""
        if self.quantile is not None:
            return None
        weights = self.probabilities or (1 / len(self.choices),) * len(self.choices)
        return tuple((choice, weight) for choice, weight in zip(self.choices, weights, strict=True) if weight > 0)

    @property
    def size(self) -> float | int:
        """How many different values can be drawn; infinite where nobody can count them."""
        if self.possible is not None:
            return len(self.possible)
        return math.inf if self.steps is None else self.steps[1] - self.steps[0] + 1

    def values(self) -> list[Any]:
        """All that can be drawn, where `size` is finite."""
        if self.possible is not None:
            return [choice for choice, _ in self.possible]
        first, last, step = self.steps or (0, -1, 1)
        return [at * step for at in range(first, last + 1)]


def parse_parameter(body: Mapping[str, Any], path: str) -> Parameter:
    """The parameter that `{value: …}`, `{values: …}` or a distribution with its numbers describes.

    Raises `SettingError` with the path of the bad field.

    >>> parse_parameter({"distribution": "log_uniform_values", "min": 0.01, "max": 1.0}, "reg").quantile(0.5)
    0.1
    """
    if "value" in body:
        known(body, {"value", "distribution"}, path)
        _named(body, "constant", path)
        return Parameter(choices=(body["value"],))
    if "values" in body:
        return _categorical(body, path)
    return _drawn(body, path)


def _categorical(body: Mapping[str, Any], path: str) -> Parameter:
    known(body, {"values", "probabilities", "distribution"}, path)
    _named(body, "categorical_w_probabilities" if "probabilities" in body else "categorical", path)
    values = body["values"]
    if not isinstance(values, list) or not values:
        raise SettingError(f"{path}.values must be a list with at least one value, got {values!r}")
    weights = body.get("probabilities")
    if weights is None:
        return Parameter(choices=tuple(values))
    shares = [number(weight, f"{path}.probabilities") for weight in (weights if isinstance(weights, list) else [])]
    if len(shares) != len(values) or abs(sum(shares) - 1) > 1e-6 or min(shares) < 0:
        raise SettingError(f"{path}.probabilities must be {len(values)} numbers ≥ 0 that sum to 1, got {weights!r}")
    return Parameter(choices=tuple(values), probabilities=tuple(shares))


def _named(body: Mapping[str, Any], name: str, path: str) -> None:
    given = body.get("distribution", name)
    if given != name:
        there = ", ".join(key for key in body if key != "distribution")
        raise SettingError(f"{path}.distribution must be {name} with {there}, got {given!r}")


def _drawn(body: Mapping[str, Any], path: str) -> Parameter:
    name = body["distribution"] if "distribution" in body else default_distribution(body, path)
    family = str(name).removeprefix("q_")
    if name not in DISTRIBUTIONS:
        raise SettingError(f"{path}.distribution {name!r} is unknown; it may be {', '.join(DISTRIBUTIONS)}")
    if family not in FAMILIES:
        key = "value" if name == "constant" else "values"
        raise SettingError(f"{path}: distribution {name} needs `{key}`")
    needed, build = FAMILIES[family]
    quantised = name != family
    known(body, {"distribution", *needed, *(("q",) if quantised else ())}, f"{path} ({name})")
    arguments = [number(body.get(key, DEFAULTS.get(key)), f"{path}.{key}") for key in needed]
    _check_arguments(family, needed, arguments, path)
    quantile = build(*arguments)
    if not quantised:
        whole = (int(arguments[0]), int(arguments[1]), 1) if family == "int_uniform" else None
        return Parameter(quantile=quantile, steps=whole)
    step = number(body.get("q", 1), f"{path}.q")
    if step <= 0:
        raise SettingError(f"{path}.q must be above 0, got {step}")
    steps = None if "mu" in needed else _steps(quantile, step, path)
    return Parameter(quantile=lambda share: round(quantile(share) / step) * step, steps=steps)


def _steps(quantile: Quantile, step: float, path: str) -> tuple[int, int, float]:
    """Of a distribution with two ends."""
    try:
        return round(quantile(0.0) / step), round(quantile(1.0) / step), step
    except (OverflowError, ValueError) as error:
        raise SettingError(f"{path} cannot be drawn from: {error}") from error


def _check_arguments(family: str, needed: tuple[str, ...], arguments: list[float], path: str) -> None:
    if "min" in needed and arguments[0] >= arguments[1]:
        raise SettingError(f"{path}.min must be below max, got {arguments[0]} and {arguments[1]}")
    if family == "int_uniform" and not all(argument.is_integer() for argument in arguments):
        raise SettingError(f"{path}: int_uniform takes whole numbers, got {arguments[0]} and {arguments[1]}")
    if family.endswith("uniform_values") and arguments[0] <= 0:
        raise SettingError(f"{path}.min must be above 0 on a logarithmic scale, got {arguments[0]}")
    for key in ("sigma", "a", "b"):
        if key in needed and arguments[needed.index(key)] <= 0:
            raise SettingError(f"{path}.{key} must be above 0, got {arguments[needed.index(key)]}")


def default_distribution(body: Mapping[str, Any], path: str) -> str:
    """What bounds without a distribution mean: whole numbers are counted, others measured."""
    if "min" not in body or "max" not in body:
        raise SettingError(f"{path} needs `value`, `values`, `parameters`, or `min` and `max`")
    for key in ("min", "max"):
        number(body[key], f"{path}.{key}")
    whole = [isinstance(body[key], int) for key in ("min", "max")]
    if whole[0] != whole[1]:
        raise SettingError(
            f"{path}: min {body['min']} and max {body['max']} are ambiguous: write both as whole numbers (int_uniform) "
            "or both with a point (uniform), or name the distribution"
        )
    return "int_uniform" if whole[0] else "uniform"


def _uniform(low: float, high: float) -> Quantile:
    return lambda share: low + share * (high - low)


def _int_uniform(low: float, high: float) -> Quantile:
    return lambda share: min(int(low) + int(share * (int(high) - int(low) + 1)), int(high))


def _log_uniform(low: float, high: float) -> Quantile:
    return lambda share: math.exp(low + share * (high - low))


def _log_uniform_values(low: float, high: float) -> Quantile:
    return lambda share: low * (high / low) ** share


def _normal(mu: float, sigma: float) -> Quantile:
    return lambda share: float(scipy.stats.norm.ppf(_open(share), mu, sigma))


def _log_normal(mu: float, sigma: float) -> Quantile:
    return lambda share: math.exp(scipy.stats.norm.ppf(_open(share), mu, sigma))


def _beta(a: float, b: float) -> Quantile:
    return lambda share: float(scipy.stats.beta.ppf(share, a, b))


def _open(share: float) -> float:
    return min(max(share, 1e-9), 1 - 1e-9)


FAMILIES: dict[str, tuple[tuple[str, ...], Callable[..., Quantile]]] = {
    "uniform": (("min", "max"), _uniform),
    "int_uniform": (("min", "max"), _int_uniform),
    "log_uniform": (("min", "max"), _log_uniform),
    "log_uniform_values": (("min", "max"), _log_uniform_values),
    "inv_log_uniform": (("min", "max"), lambda low, high: _log_uniform(-high, -low)),
    "inv_log_uniform_values": (("min", "max"), _log_uniform_values),
    "normal": (("mu", "sigma"), _normal),
    "log_normal": (("mu", "sigma"), _log_normal),
    "beta": (("a", "b"), _beta),
}
DEFAULTS = {"mu": 0, "sigma": 1, "a": 1, "b": 1}
QUANTISED = ("uniform", "log_uniform", "log_uniform_values", "normal", "log_normal", "beta")
"""Families that W&B's schema has with a step `q` too."""
DISTRIBUTIONS = (
    "constant", "categorical", "categorical_w_probabilities", *FAMILIES, *(f"q_{name}" for name in QUANTISED),
)  # fmt: skip

"""A sweep's definition in W&B's YAML schema, checked field by field, and how its parameters are drawn.

The schema: https://docs.wandb.ai/guides/sweeps/define-sweep-configuration. Every distribution is drawn through its
quantile function from one uniform number, so that grid, random and Bayesian search share one definition.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import yaml
from scipy import stats

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.learning.sweeps.successive_halving import EarlyTermination, parse_early_termination
from recsys_pipeline.core.types import check_setting

KEYS = frozenset(
    {"command", "controller", "description", "early_terminate", "entity", "imports", "job", "method", "metric"}
    | {"name", "parameters", "prior_runs", "program", "project", "run_cap"}
)
"""Top-level keys of W&B's schema. Those that this module does not read pass untouched to W&B."""

METHODS = ("grid", "random", "bayes")


@dataclass(frozen=True)
class Parameter:
    """One searched field: a list of choices, or a distribution drawn through its quantile function."""

    choices: tuple[Any, ...] = ()
    probabilities: tuple[float, ...] | None = None
    quantile: Callable[[float], float] | None = None


@dataclass(frozen=True)
class Sweep:
    """A checked sweep: which metric decides, in which direction, over which parameters of which config."""

    name: str
    method: str
    metric: str
    goal: Literal["minimize", "maximize"]
    parameters: Mapping[str, Parameter]
    run_cap: int | None
    early_terminate: EarlyTermination | None
    config: type
    definition: Mapping[str, Any]
    """The mapping as it was written, for W&B, which reads the same schema."""


def parse_sweep(text: str, config: type, source: str = "sweep") -> Sweep:
    """The sweep that a YAML text defines over the fields of a config dataclass.

    Raises `SettingError` with the path of the bad field, as in `als_ndcg.yaml: parameters.reg.min`.
    """
    try:
        definition = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingError(f"{source} is not YAML: {error}") from error
    _mapping(definition, source)
    _known(definition, KEYS, source)
    metric = _mapping(_required(definition, "metric", source), f"{source}: metric")
    return Sweep(
        name=str(definition.get("name", source)),
        method=_one_of(_required(definition, "method", source), METHODS, f"{source}: method"),
        metric=str(_required(metric, "name", f"{source}: metric")),
        goal=cast(Any, _one_of(metric.get("goal", "minimize"), ("minimize", "maximize"), f"{source}: metric.goal")),
        parameters=_parameters(definition, config, source),
        run_cap=_run_cap(definition.get("run_cap"), f"{source}: run_cap"),
        early_terminate=parse_early_termination(definition.get("early_terminate"), f"{source}: early_terminate"),
        config=config,
        definition=definition,
    )


def _parameters(definition: Mapping[str, Any], config: type, source: str) -> dict[str, Parameter]:
    found = _mapping(_required(definition, "parameters", source), f"{source}: parameters")
    if not found:
        raise SettingError(f"{source}: parameters is empty: name at least one field of {config.__name__}")
    parameters = {}
    for name, body in found.items():
        path = f"{source}: parameters.{name}"
        parameters[name] = _parameter(_mapping(body, path), path)
        for key, value in _samples(parameters[name], body, path):
            check_setting(config, name, value, f"{path}.{key}")
    if definition["method"] == "grid":
        _check_grid(parameters, source)
    return parameters


def _samples(parameter: Parameter, body: Mapping[str, Any], path: str) -> list[tuple[str, Any]]:
    """(key of the YAML, value) that the config must accept: every choice, or both ends and a point in between."""
    if parameter.quantile is None:
        return [("value" if "value" in body else "values", value) for value in parameter.choices]
    ends = [("min", 0.0), ("max", 1.0)] if "min" in body and "max" in body else []
    try:
        return [(key, parameter.quantile(share)) for key, share in [*ends, ("distribution", 0.37)]]
    except (OverflowError, ValueError) as error:
        raise SettingError(f"{path} cannot be drawn from: {error}") from error


def _check_grid(parameters: Mapping[str, Parameter], source: str) -> None:
    for name, parameter in parameters.items():
        if not parameter.choices:
            raise SettingError(f"{source}: parameters.{name} has no end: method grid needs `value` or `values`")


def _parameter(body: Mapping[str, Any], path: str) -> Parameter:
    keys = {"value", "values", "probabilities", "distribution", "min", "max", "q", "mu", "sigma", "a", "b"}
    _known(body, keys, path)
    if "value" in body:
        return Parameter(choices=(body["value"],))
    if "values" in body:
        return _categorical(body, path)
    name = body["distribution"] if "distribution" in body else _default_distribution(body, path)
    family = str(name).removeprefix("q_")
    if family not in FAMILIES:
        known = sorted({*FAMILIES, *(f"q_{known}" for known in FAMILIES), "constant", "categorical"})
        raise SettingError(f"{path}.distribution {name!r} is unknown; it may be {', '.join(known)}")
    needed, build = FAMILIES[family]
    arguments = [_number(body.get(key, DEFAULTS.get(key)), f"{path}.{key}") for key in needed]
    if "min" in needed and arguments[0] >= arguments[1]:
        raise SettingError(f"{path}.min must be below max, got {arguments[0]} and {arguments[1]}")
    if family.endswith("uniform_values") and arguments[0] <= 0:
        raise SettingError(f"{path}.min must be above 0 on a logarithmic scale, got {arguments[0]}")
    quantile = build(*arguments)
    if name == family:
        return Parameter(quantile=quantile)
    step = _number(body.get("q", 1), f"{path}.q")
    if step <= 0:
        raise SettingError(f"{path}.q must be above 0, got {step}")
    return Parameter(quantile=lambda share: round(quantile(share) / step) * step)


def _categorical(body: Mapping[str, Any], path: str) -> Parameter:
    values = body["values"]
    if not isinstance(values, list) or not values:
        raise SettingError(f"{path}.values must be a list with at least one value, got {values!r}")
    weights = body.get("probabilities")
    if weights is None:
        return Parameter(choices=tuple(values))
    shares = [_number(weight, f"{path}.probabilities") for weight in (weights if isinstance(weights, list) else [])]
    if len(shares) != len(values) or abs(sum(shares) - 1) > 1e-6 or min(shares) < 0:
        raise SettingError(f"{path}.probabilities must be {len(values)} numbers ≥ 0 that sum to 1, got {weights!r}")
    return Parameter(choices=tuple(values), probabilities=tuple(shares))


def _default_distribution(body: Mapping[str, Any], path: str) -> str:
    if "min" not in body or "max" not in body:
        raise SettingError(f"{path} needs `value`, `values`, or `min` and `max`")
    both_int = all(isinstance(body[key], int) for key in ("min", "max"))
    return "int_uniform" if both_int else "uniform"


def _uniform(low: float, high: float) -> Callable[[float], float]:
    return lambda share: low + share * (high - low)


def _int_uniform(low: float, high: float) -> Callable[[float], float]:
    return lambda share: min(int(low) + int(share * (int(high) - int(low) + 1)), int(high))


def _log_uniform(low: float, high: float) -> Callable[[float], float]:
    return lambda share: math.exp(low + share * (high - low))


def _log_uniform_values(low: float, high: float) -> Callable[[float], float]:
    return lambda share: low * (high / low) ** share


def _normal(mu: float, sigma: float) -> Callable[[float], float]:
    return lambda share: float(stats.norm.ppf(_open(share), mu, sigma))


def _log_normal(mu: float, sigma: float) -> Callable[[float], float]:
    return lambda share: math.exp(stats.norm.ppf(_open(share), mu, sigma))


def _beta(a: float, b: float) -> Callable[[float], float]:
    return lambda share: float(stats.beta.ppf(share, a, b))


def _open(share: float) -> float:
    return min(max(share, 1e-9), 1 - 1e-9)


FAMILIES: dict[str, tuple[tuple[str, ...], Callable[..., Callable[[float], float]]]] = {
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


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SettingError(f"{path} must be a mapping of names to values, got {value!r}")
    return value


def _known(mapping: Mapping[str, Any], keys: frozenset[str] | set[str], path: str) -> None:
    unknown = sorted(map(str, set(mapping) - keys))
    if unknown:
        raise SettingError(f"{path}: {unknown[0]!r} is not in W&B's sweep schema; it has {', '.join(sorted(keys))}")


def _required(mapping: Mapping[str, Any], key: str, path: str) -> Any:
    if key not in mapping:
        raise SettingError(f"{path}: `{key}` is missing")
    return mapping[key]


def _one_of(value: Any, choices: tuple[str, ...], path: str) -> str:
    if value not in choices:
        raise SettingError(f"{path} must be one of {', '.join(choices)}, got {value!r}")
    return value


def _number(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingError(f"{path} must be a number, got {value!r} (YAML reads 1e-3 as text: write 1.0e-3 or 0.001)")
    return float(value)


def _run_cap(value: Any, path: str) -> int | None:
    if value is not None and (type(value) is not int or value < 1):
        raise SettingError(f"{path} must be a whole number ≥ 1, got {value!r}")
    return value

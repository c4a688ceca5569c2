"""A sweep's definition in W&B's YAML schema, checked field by field.

The schema: https://docs.wandb.ai/guides/sweeps/define-sweep-configuration. What W&B refuses is refused here, before
anything runs, with the path of the bad field; what only W&B can do (multi-objective search, schedulers of your own)
is refused with that reason.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import yaml

from recsys_pipeline.core.configs import check_setting, parse_config
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.learning.sweeps.distributions import Parameter, default_distribution, parse_parameter
from recsys_pipeline.core.learning.sweeps.successive_halving import EarlyTermination, parse_early_termination
from recsys_pipeline.core.learning.sweeps.yaml_fields import (
    NUMBERS_HINT,
    known,
    looks_like_a_number,
    mapping,
    number,
    one_of,
    required,
    whole,
)

KEYS = frozenset(
    {"apiVersion", "command", "controller", "description", "early_terminate", "entity", "image_uri", "job", "kind"}
    | {"method", "metric", "metrics", "name", "parameters", "program", "project", "run_cap", "scheduler"}
)
"""Top-level keys of W&B's schema. Those that this module does not read pass untouched to W&B."""

METHODS = ("grid", "random", "bayes")
METRIC_KEYS = ("name", "goal", "target", "impute", "impute_while_running")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
"""W&B's pattern for the names of parameters."""


@dataclass(frozen=True)
class Sweep:
    """A checked sweep: which metric decides, in which direction, over which parameters of which config."""

    name: str
    method: str
    metric: str
    goal: Literal["minimize", "maximize"]
    target: float | None
    """The sweep ends once a trial is this good."""
    parameters: Mapping[str, Parameter]
    """By field of the config, whatever group a field stands in."""
    run_cap: int | None
    early_terminate: EarlyTermination | None
    config: type
    definition: Mapping[str, Any]
    """The mapping as it was written, for W&B, which reads the same schema."""
    base: Mapping[str, Any] = field(default_factory=dict)
    """Values of the fields that are not searched, where they are not the config's defaults."""

    @property
    def minimise(self) -> bool:
        """Whether less is better."""
        return self.goal == "minimize"

    @property
    def size(self) -> float | int:
        """How many different points the space has; infinite where one parameter is continuous."""
        if self.method == "grid":
            return math.prod(len(parameter.choices) for parameter in self.parameters.values())
        return math.prod(parameter.size for parameter in self.parameters.values())

    def point(self, params: Mapping[str, Any]) -> tuple[Any, ...]:
        """Params as the config takes them: what is equal here gives the same trial."""
        return tuple(self._taken(name, params[name]) for name in self.parameters)

    def configure(self, params: Mapping[str, Any]) -> Any:
        """The config of a trial; raises `SettingError` for values that exclude one another."""
        return parse_config(self.config, {**self.base, **params}, "parameters")

    def _taken(self, name: str, value: Any) -> Any:
        try:
            return check_setting(self.config, name, value)
        except SettingError:  # a distribution without an end may go beyond the field's bounds: that trial fails
            return repr(value)

    def reaches_target(self, value: float) -> bool:
        """Whether a value is as good as `metric.target` asks for; never, where the sweep has none."""
        if self.target is None:
            return False
        return value <= self.target if self.minimise else value >= self.target


def parse_sweep(text: str, config: type, source: str = "sweep", method: str | None = None) -> Sweep:
    """The sweep that a YAML text defines over the fields of a config dataclass.

    Parameters may stand in groups (W&B's nested parameters); the innermost name is the field. `method` replaces the
    one in the text. Raises `SettingError` with the path of the bad field, as in `als_ndcg.yaml: parameters.reg.min`.
    """
    definition = dict(mapping(_read(text, source), source))
    known(definition, KEYS, source)
    if method is not None:
        definition["method"] = method
    _check_ours(definition, source)
    metric = mapping(required(definition, "metric", source), f"{source}: metric")
    known(metric, METRIC_KEYS, f"{source}: metric")
    run_cap, target = definition.get("run_cap"), metric.get("target")
    return Sweep(
        name=str(definition.get("name", source)),
        method=one_of(required(definition, "method", source), METHODS, f"{source}: method"),
        metric=str(required(metric, "name", f"{source}: metric")),
        goal=cast(Any, one_of(metric.get("goal", "minimize"), ("minimize", "maximize"), f"{source}: metric.goal")),
        target=None if target is None else number(target, f"{source}: metric.target"),
        parameters=_parameters(definition, config, source),
        run_cap=None if run_cap is None else whole(run_cap, f"{source}: run_cap"),
        early_terminate=parse_early_termination(definition.get("early_terminate"), f"{source}: early_terminate"),
        config=config,
        definition=definition,
    )


def for_server(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A checked definition with the distributions that its bounds imply, as W&B's client would send it."""

    def filled(group: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, body in group.items():
            if "parameters" in body:
                found[name] = {"parameters": filled(body["parameters"])}
            elif "min" in body and "distribution" not in body:
                found[name] = {**body, "distribution": default_distribution(body, name)}
            else:
                found[name] = dict(body)
        return found

    return {**definition, "parameters": filled(definition["parameters"])}


def fields_of(params: Mapping[str, Any], sweep: Sweep) -> dict[str, Any]:
    """Params as W&B's server gives them, groups and all, as the flat fields of the config.

    Raises `SettingError` for a name that is no parameter of the sweep.
    """
    found: dict[str, Any] = {}
    for name, value in params.items():
        if name in sweep.parameters:
            found[name] = value
        elif isinstance(value, Mapping):
            found |= fields_of(value, sweep)
        else:
            raise SettingError(f"{name!r} is no parameter of {sweep.name}; it has {', '.join(sweep.parameters)}")
    return found


def _read(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        # Its own words quote the file, which may be one that nobody should read in a log; so would the cause.
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or "it cannot be read"
        place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingError(f"{source} is not YAML: {problem}{place}") from None


def _check_ours(definition: Mapping[str, Any], source: str) -> None:
    """Refuse what W&B's schema has and only W&B's own schedulers can do."""
    for key in ("metrics", "scheduler"):
        if key in definition:
            raise SettingError(f"{source}: {key} is for W&B's own schedulers; use `metric` and a method of {METHODS}")


def _parameters(definition: Mapping[str, Any], config: type, source: str) -> dict[str, Parameter]:
    found = mapping(required(definition, "parameters", source), f"{source}: parameters")
    if not found:
        raise SettingError(f"{source}: parameters is empty: name at least one field of {config.__name__}")
    parameters, paths = {}, dict[str, str]()
    for name, body, path in _leaves(found, f"{source}: parameters"):
        if name in paths:
            raise SettingError(f"{path} and {paths[name]} are the same field of {config.__name__}: keep one")
        paths[name] = path
        parameters[name] = parse_parameter(body, path)
        for key, value in _samples(parameters[name], body, path):
            _check(config, name, value, f"{path}.{key}")
        parameters[name] = _distinct(parameters[name], config, name)
        if definition["method"] == "grid" and not parameters[name].choices:
            raise SettingError(f"{path} has no end: method grid needs `value` or `values`")
    return parameters


def _check(config: type, name: str, value: Any, path: str) -> None:
    try:
        check_setting(config, name, value, path)
    except SettingError as error:
        if looks_like_a_number(value):
            raise SettingError(f"{error} {NUMBERS_HINT}") from error
        raise


def _distinct(parameter: Parameter, config: type, name: str) -> Parameter:
    """A parameter whose choices are as many as they differ: 0.1 and 0.10 are one, with the weight of both."""
    if parameter.quantile is not None:
        return parameter
    weights = parameter.probabilities or (1 / len(parameter.choices),) * len(parameter.choices)
    choices: dict[Any, Any] = {}
    shares: dict[Any, float] = {}
    for choice, weight in zip(parameter.choices, weights, strict=True):
        value = check_setting(config, name, choice)
        choices.setdefault(value, choice)
        shares[value] = shares.get(value, 0.0) + weight
    if len(choices) == len(parameter.choices):
        return parameter
    return replace(parameter, choices=tuple(choices.values()), probabilities=tuple(shares.values()))


def _leaves(group: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """(field, body, path) of every parameter, out of however many groups."""
    for name, value in group.items():
        here = f"{path}.{name}"
        if not NAME.fullmatch(str(name)):
            raise SettingError(f"{here}: W&B takes names of letters, digits, `_`, `.` and `-`, not {name!r}")
        body = mapping(value, here)
        if "parameters" in body:
            known(body, {"parameters"}, here)
            inner = mapping(body["parameters"], f"{here}.parameters")
            if not inner:
                raise SettingError(f"{here}.parameters is empty")
            yield from _leaves(inner, f"{here}.parameters")
        else:
            yield str(name), body, here


def _samples(parameter: Parameter, body: Mapping[str, Any], path: str) -> list[tuple[str, Any]]:
    """(key of the YAML, value) that the config must accept: every choice, or both ends and a point in between."""
    if parameter.quantile is None:
        return [("value" if "value" in body else "values", value) for value in parameter.choices]
    ends = [("min", 0.0), ("max", 1.0)] if "min" in body and "max" in body else []
    try:
        return [(key, parameter.quantile(share)) for key, share in [*ends, ("distribution", 0.37)]]
    except (OverflowError, ValueError) as error:
        raise SettingError(f"{path} cannot be drawn from: {error}") from error

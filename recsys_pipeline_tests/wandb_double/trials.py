"""Which parameters a sweep tries next: the whole grid in order, or random draws; bayes is served at random."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

Tree = Mapping[str, Any]


def trial(config: Tree, number: int, seed: int) -> dict[str, Any] | None:
    """The parameters of the `number`-th trial (from 0), or None after the last; equal arguments give equal answers.

    Raises:
        ValueError: a grid over a parameter that has no list of values.
    """
    cap = config.get("run_cap")
    if cap is not None and number >= cap:
        return None
    parameters = config["parameters"]
    if config["method"] == "grid":
        return next(itertools.islice(_grid(parameters), number, None), None)
    generator = random.Random(seed * 1_000_003 + number)
    return {name: _draw(parameter, generator) for name, parameter in parameters.items()}


def grid_size(config: Tree) -> int | None:
    """How many trials the sweep has; None where it goes on until stopped."""
    size = math.prod(len(_choices(parameter)) for parameter in config["parameters"].values())
    counts = [size] if config["method"] == "grid" else []
    counts += [config["run_cap"]] if config.get("run_cap") is not None else []
    return min(counts, default=None)


def _grid(parameters: Tree) -> Iterator[dict[str, Any]]:
    choices = [_choices(parameter) for parameter in parameters.values()]
    for chosen in itertools.product(*choices):
        yield dict(zip(parameters, chosen, strict=True))


def _choices(parameter: Tree) -> list[Any]:
    if "parameters" in parameter:
        return list(_grid(parameter["parameters"]))
    if "values" in parameter:
        return list(parameter["values"])
    if "value" in parameter:
        return [parameter["value"]]
    if parameter.get("distribution") == "int_uniform":
        return list(range(parameter["min"], parameter["max"] + 1))
    return []


def _draw(parameter: Tree, generator: random.Random) -> Any:
    if "parameters" in parameter:
        return {name: _draw(inner, generator) for name, inner in parameter["parameters"].items()}
    if "value" in parameter:
        return parameter["value"]
    if "values" in parameter:
        return generator.choices(parameter["values"], parameter.get("probabilities"))[0]
    name = parameter.get("distribution", "uniform")
    quantised = name.startswith("q_")
    value = _continuous(name.removeprefix("q_"), parameter, generator)
    if quantised:
        step = parameter.get("q", 1)
        return round(value / step) * step
    return value


def _continuous(name: str, parameter: Tree, generator: random.Random) -> float:
    low, high = parameter.get("min", 0), parameter.get("max", 1)
    mean, deviation = parameter.get("mu", 0), parameter.get("sigma", 1)
    draws = {
        "uniform": lambda: generator.uniform(low, high),
        "int_uniform": lambda: generator.randint(low, high),
        "log_uniform": lambda: math.exp(generator.uniform(low, high)),
        "log_uniform_values": lambda: math.exp(generator.uniform(math.log(low), math.log(high))),
        "inv_log_uniform_values": lambda: 1 / math.exp(generator.uniform(-math.log(high), -math.log(low))),
        "normal": lambda: generator.gauss(mean, deviation),
        "log_normal": lambda: generator.lognormvariate(mean, deviation),
        "beta": lambda: generator.betavariate(parameter["a"], parameter["b"]),
    }
    if name not in draws:
        raise ValueError(f"distribution {name!r} is none of {', '.join(draws)}")
    return draws[name]()

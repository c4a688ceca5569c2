"""The sweep engine: W&B's YAML schema, the three searches, and what happens when trials fail."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.configs import setting
from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.learning.sweeps.distributions import FAMILIES
from recsys_pipeline.core.learning.sweeps.space import parse_sweep
from recsys_pipeline.core.learning.sweeps.sweep import Proposal, Trial, Watch, run_sweep
from recsys_pipeline.core.models.als import AlsConfig

CONF = Path(__file__).parents[4] / "conf" / "sweeps"


@dataclass(frozen=True)
class Toy:
    """A config with one field of each kind."""

    size: int = setting(4, "A whole number.", ge=1, le=64)
    reg: float = setting(0.1, "A positive number.", gt=0.0)
    bias: bool = setting(True, "A flag.")
    target: Literal["one", "value"] = setting("one", "A choice.")


HEAD = "name: toy\nmethod: {method}\nmetric: {{name: loss, goal: minimize}}\nparameters:\n"
REG = "  reg: {distribution: log_uniform_values, min: 0.001, max: 1.0}\n"
GRID = "  size: {values: [1, 2, 3]}\n  bias: {values: [true, false]}\n  reg: {value: 0.5}\n"
SPACE = REG + "  size: {min: 1, max: 8}\n  target: {values: [one, value]}\n"


def sweep_of(parameters: str, method: str = "random") -> Any:
    return parse_sweep(HEAD.format(method=method) + parameters, Toy, "toy.yaml")


def distance(config: Toy, number: int = 0) -> dict[str, float]:  # noqa: ARG001 - the engine's signature
    """Least at reg = 0.1, size = 5, target = value."""
    return {"loss": abs(math.log10(config.reg) + 1) + abs(config.size - 5) / 4 + (config.target == "one")}


class Heard(Watch):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self.told: list[tuple[int, str]] = []

    def started(self, proposal: Proposal) -> None:
        self.told.append((proposal.number, "started"))

    def ended(self, trial: Trial) -> None:
        self.told.append((trial.number, trial.state))
        self.trials.append(trial)


def test_grid_tries_every_combination_once() -> None:
    result = run_sweep(sweep_of(GRID, "grid"), distance, n_trials=100, seed=0)
    tried = [(trial.params["size"], trial.params["bias"], trial.params["reg"]) for trial in result.trials]
    assert tried == [(size, bias, 0.5) for size in (1, 2, 3) for bias in (True, False)]
    assert result.best_config == Toy(size=3, bias=True, reg=0.5)


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_the_same_seed_draws_the_same_params(method: str) -> None:
    first, again, other = (run_sweep(sweep_of(SPACE, method), distance, 12, seed) for seed in (3, 3, 4))
    assert [trial.params for trial in first.trials] == [trial.params for trial in again.trials]
    assert [trial.params for trial in first.trials] != [trial.params for trial in other.trials]


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_draws_stay_in_the_space(method: str) -> None:
    for trial in run_sweep(sweep_of(SPACE, method), distance, 25, seed=0).trials:
        assert 0.001 <= trial.params["reg"] <= 1.0
        assert trial.params["size"] in range(1, 9)
        assert trial.params["target"] in ("one", "value")


def test_bayes_finds_a_better_config_than_random() -> None:
    best = {
        method: sum(run_sweep(sweep_of(SPACE, method), distance, 40, seed).best.metrics["loss"] for seed in range(3))
        for method in ("random", "bayes")
    }
    assert best["bayes"] < best["random"]


def test_goal_maximize_takes_the_largest() -> None:
    text = HEAD.format(method="grid").replace("minimize", "maximize") + "  size: {values: [2, 9, 4]}\n"
    result = run_sweep(parse_sweep(text, Toy), lambda config, _: {"loss": float(config.size)}, 9, seed=0)
    assert result.best_config.size == 9


def test_a_failed_trial_is_recorded_and_the_sweep_goes_on() -> None:
    def objective(config: Toy, number: int) -> dict[str, float]:
        if number == 0:
            raise ModelError("did not converge")
        return {1: {"loss": math.nan}, 2: {"other": 1.0}}.get(number, distance(config))

    heard = Heard()
    result = run_sweep(sweep_of(SPACE, "bayes"), objective, 5, seed=0, watch=heard)
    assert [trial.state for trial in result.trials] == ["failed"] * 3 + ["finished"] * 2
    assert result.trials[0].error == "ModelError: did not converge"
    assert result.trials[1].error == "loss is nan"
    assert "'loss'" in result.trials[2].error
    assert "other" in result.trials[2].error
    assert tuple(heard.trials) == result.trials


def test_no_finished_trial_is_an_error_that_says_why() -> None:
    def objective(config: Toy, number: int) -> dict[str, float]:
        raise ValueError(f"broken {number} {config.size}")

    with pytest.raises(ModelError, match=r"toy.*ValueError: broken 0"):
        run_sweep(sweep_of(GRID, "grid"), objective, 3, seed=0)


def test_interrupting_stops_the_sweep() -> None:
    def objective(config: Toy, number: int) -> dict[str, float]:
        raise KeyboardInterrupt(config, number)

    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep_of(GRID, "grid"), objective, 3, seed=0)


def test_fields_outside_the_sweep_keep_their_defaults() -> None:
    result = run_sweep(sweep_of(REG), distance, 2, seed=0)
    assert dataclasses.replace(result.best_config, reg=Toy().reg) == Toy()


def test_run_cap_and_timer() -> None:
    ticks = iter(range(100))
    sweep = parse_sweep("run_cap: 2\n" + HEAD.format(method="grid") + GRID, Toy)
    result = run_sweep(sweep, distance, 100, seed=0, timer=lambda: float(next(ticks)))
    assert [trial.seconds for trial in result.trials] == [1.0, 1.0]


def test_wandb_keys_pass_through_untouched() -> None:
    extra = "program: train.py\nproject: demo\nearly_terminate: {type: hyperband, min_iter: 3}\n"
    sweep = parse_sweep(extra + HEAD.format(method="random") + REG, Toy)
    assert sweep.definition["early_terminate"] == {"type": "hyperband", "min_iter": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "toy.yaml is not YAML"),
        ("- 1", "toy.yaml must be a mapping"),
        ("methods: grid", "toy.yaml: 'methods' is not in W&B's sweep schema"),
        ("method: grid", "toy.yaml: `metric` is missing"),
        ("method: grid\nmetric: {goal: minimize}", "toy.yaml: metric: `name` is missing"),
        (HEAD.format(method="brute") + REG, "toy.yaml: method must be one of grid, random, bayes"),
        (HEAD.format(method="grid") + REG, "parameters.reg has no end: method grid needs"),
        (HEAD.format(method="random") + "  rge: {value: 1.0}", "parameters.rge.*it has bias, reg, size, target"),
        (HEAD.format(method="random") + "  rge: {min: 1.0, max: 2.0}", "no field 'rge'"),
        (HEAD.format(method="random") + "  reg: {min: 0.0, max: 1.0}", "parameters.reg.min must be above 0"),
        (HEAD.format(method="random") + "  reg: {min: 1e-3, max: 1.0}", "parameters.reg.min must be a number.*1e-3"),
        (HEAD.format(method="random") + "  reg: {min: 0.5, max: 0.1}", "parameters.reg.min must be below max"),
        (HEAD.format(method="random") + "  size: {values: [1, 99]}", "parameters.size.values must be at most 64"),
        (HEAD.format(method="random") + "  size: {values: [1, x]}", "parameters.size.values must be of type int"),
        (HEAD.format(method="random") + "  size: {values: 3}", "parameters.size.values must be a list"),
        (HEAD.format(method="random") + "  size: {min: 1.5, max: 8.0}", "parameters.size"),
        (HEAD.format(method="random") + "  target: {values: [two]}", "must be one of 'one', 'value'"),
        (HEAD.format(method="random") + "  reg: {distribution: zipf, min: 1, max: 2}", "'zipf' is unknown"),
        (HEAD.format(method="random") + "  reg: {min: 0.1}", "needs `value`, `values`, `parameters`, or"),
        (HEAD.format(method="random") + "  reg: {value: 0.1, low: 0.1}", "parameters.reg: 'low' is not in W&B's"),
        (HEAD.format(method="random") + "  reg: {min: 0.1, max: 1.0, mu: 1}", "'mu' is not in W&B's .*max, min"),
        (HEAD.format(method="random") + "  size: {min: 1, max: 8.0}", "parameters.size: min 1 and max 8.0 are ambig"),
        (HEAD.format(method="random") + "  r g: {value: 1}", "W&B takes names of letters"),
        (HEAD.format(method="random") + "  g: {parameters: {reg: {value: 0.1}}, min: 1}", "parameters.g: 'min' is"),
        (HEAD.format(method="random") + "  g: {parameters: {rge: {value: 0.1}}}", "g.parameters.rge.value: .*'rge'"),
        (HEAD.format(method="random") + "  reg: {value: 0.1}\n  g: {parameters: {reg: {value: 0.1}}}", "same field"),
        (HEAD.format(method="random") + "  g: {parameters: {}}", "parameters.g.parameters is empty"),
        (HEAD.format(method="random") + "  reg: {distribution: q_int_uniform, min: 1, max: 2}", "unknown; it may be"),
        (HEAD.format(method="random") + "  reg: {distribution: constant}", "distribution constant needs `value`"),
        (HEAD.format(method="random") + "  size: {values: [1], distribution: uniform}", "must be categorical with"),
        (HEAD.format(method="random") + "  reg: {distribution: beta, a: 0}", "parameters.reg.a must be above 0"),
        ("scheduler: {engine: optuna}\nmethod: custom", "scheduler is for W&B's own schedulers"),
        (HEAD.format(method="random").replace("goal", "gaol") + REG, "metric: 'gaol' is not in W&B's"),
        (HEAD.format(method="random").replace("minimize", "minimise") + REG, "metric.goal must be one of minimize"),
        (HEAD.format(method="random") + "  rge: {distribution: normal}", "no field 'rge'"),
        (HEAD.format(method="random") + "  rge: {distribution: log_uniform, min: -3, max: 0}", "no field 'rge'"),
        (HEAD.format(method="random") + "  size: {distribution: log_uniform, min: 0, max: 9}", "parameters.size"),
        (HEAD.format(method="random") + "  size: {distribution: uniform, min: 1, max: 9}", "must be a whole number"),
        (HEAD.format(method="random") + "  reg: {distribution: log_uniform, min: 0, max: 999}", "cannot be drawn"),
        (HEAD.format(method="random") + "  reg: {distribution: normal, sigma: -1}", "sigma must be above 0"),
        (HEAD.format(method="random") + "  reg: {distribution: q_normal, q: 0}", "parameters.reg.q must be above 0"),
        (HEAD.format(method="random") + "  reg: {distribution: 5, min: 1, max: 2}", "5 is unknown"),
        (HEAD.format(method="random") + "  reg: {value: .inf}", "parameters.reg.value must be finite"),
        (HEAD.format(method="random") + "  size: {values: [1], probabilities: [x]}", "probabilities must be a number"),
        (HEAD.format(method="random") + "  size: {values: [1], probabilities: 1}", "probabilities must be 1 numbers"),
        ("run_cap: true\n" + HEAD.format(method="random") + REG, "run_cap must be a whole number"),
        ("run_cap: 0\n" + HEAD.format(method="random") + REG, "run_cap must be a whole number"),
    ],
)
def test_a_bad_definition_names_the_field(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_sweep(text, Toy, "toy.yaml")


@pytest.mark.parametrize("family", sorted(FAMILIES))
@settings(max_examples=20, deadline=None)
@given(low=st.floats(0, 1), high=st.floats(0, 1))
def test_quantiles_rise_and_stay_in_bounds(family: str, low: float, high: float) -> None:
    bounds = "mu: 0.5, sigma: 0.1" if "normal" in family else "a: 2, b: 3" if family == "beta" else "min: 1, max: 5"
    quantile = sweep_of(f"  reg: {{distribution: {family}, {bounds}}}").parameters["reg"].quantile
    first, second = sorted((low, high))
    assert quantile(first) <= quantile(second) + 1e-9
    if ("min" in bounds and "values" in family) or family in ("uniform", "int_uniform"):
        assert quantile(first) * (1 + 1e-12) >= 1
        assert quantile(second) <= 5 * (1 + 1e-12)


def test_quantized_draws_are_multiples_of_q() -> None:
    sweep = sweep_of("  reg: {distribution: q_uniform, min: 0.5, max: 2.5, q: 0.25}\n")
    drawn = {trial.params["reg"] for trial in run_sweep(sweep, distance, 30, seed=0).trials}
    assert drawn <= {0.25 * step for step in range(2, 11)}
    assert len(drawn) > 4


def test_probabilities_weigh_the_choices() -> None:
    sweep = sweep_of("  size: {values: [1, 2], probabilities: [0.9, 0.1]}\n" + REG)
    drawn = [trial.params["size"] for trial in run_sweep(sweep, distance, 200, seed=0).trials]
    assert 160 < drawn.count(1) < 198


SHIPPED = [("als_ndcg", "ndcg@10", "maximize"), ("als_rmse", "rmse", "minimize")]


@pytest.mark.parametrize(("name", "metric", "goal"), SHIPPED)
def test_shipped_sweeps_fit_the_model(name: str, metric: str, goal: str) -> None:
    path = CONF / f"{name}.yaml"
    sweep = parse_sweep(path.read_text(), AlsConfig, path.name)
    assert (sweep.metric, sweep.goal) == (metric, goal)
    for trial in run_sweep(sweep, lambda config, _: {metric: config.reg}, 5, seed=0).trials:
        assert trial.state == "finished", trial.error

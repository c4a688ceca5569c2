"""The sweep YAML: groups, methods, and the rules of W&B's own client, which it is held against."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.learning.sweeps.distributions import DISTRIBUTIONS, parse_parameter
from recsys_pipeline.core.learning.sweeps.space import fields_of, parse_sweep
from recsys_pipeline.core.learning.sweeps.sweep import run_sweep
from recsys_pipeline.core.models import discover
from recsys_pipeline_tests.core.learning.sweeps.test_sweep import CONF, HEAD, Toy, distance

GROUPED = """  size: {values: [1, 2]}
  penalties: {parameters: {reg: {value: 0.5}, flags: {parameters: {bias: {values: [true, false]}}}}}
"""
NUMBERS = {"min": 0.5, "max": 8.5, "mu": 1.0, "sigma": 0.1, "a": 2.0, "b": 3.0, "q": 0.5}
MODELS = {"als_ndcg": "als", "als_rmse": "als", "sampled_mf_ndcg": "sampled_mf", "stl_book": "stl"}
"""Of files that are not called as their model."""
shipped = pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)


def grouped() -> Any:
    return parse_sweep(HEAD.format(method="grid") + GROUPED, Toy, "toy.yaml")


def test_parameters_in_groups_are_fields_of_the_config() -> None:
    result = run_sweep(grouped(), distance, 9, seed=0)
    assert [trial.params for trial in result.trials] == [
        {"size": size, "reg": 0.5, "bias": bias} for size in (1, 2) for bias in (True, False)
    ]


def test_a_servers_groups_are_flattened_and_strangers_are_named() -> None:
    given = {"size": 2, "penalties": {"reg": 0.5, "flags": {"bias": True}}}
    assert fields_of(given, grouped()) == {"size": 2, "reg": 0.5, "bias": True}
    with pytest.raises(SettingError, match=r"'rge' is no parameter of toy; it has size, reg, bias"):
        fields_of({"penalties": {"rge": 0.5}}, grouped())


def test_the_method_can_be_chosen_elsewhere() -> None:
    text = HEAD.format(method="bayes") + "  size: {values: [1, 2]}\n"
    sweep = parse_sweep(text, Toy, "toy.yaml", method="grid")
    assert (sweep.method, sweep.definition["method"]) == ("grid", "grid")
    with pytest.raises(SettingError, match="has no end: method grid"):
        parse_sweep(text + "  reg: {min: 0.1, max: 1.0}\n", Toy, "toy.yaml", method="grid")


@pytest.mark.parametrize("name", [name for name in DISTRIBUTIONS if not name.startswith("cat") and name != "constant"])
def test_every_distribution_of_wandb_is_drawn_from(name: str) -> None:
    family = name.removeprefix("q_")
    keys = {"normal": ("mu", "sigma"), "log_normal": ("mu", "sigma"), "beta": ("a", "b")}.get(family, ("min", "max"))
    body: dict[str, Any] = {"distribution": name, **{key: NUMBERS[key] for key in keys}}
    body |= {"q": NUMBERS["q"]} if name != family else {}
    body |= {"min": 1, "max": 8} if name == "int_uniform" else {}
    quantile = parse_parameter(body, "toy").quantile
    assert quantile is not None
    drawn = [quantile(share) for share in (0.0, 0.3, 0.7, 0.999)]
    assert drawn == sorted(drawn)
    assert drawn[0] < drawn[-1]
    if name != family:
        assert all(value / 0.5 == round(value / 0.5) for value in drawn)


@shipped
def test_shipped_sweeps_pass_wandbs_own_client(path: Path) -> None:
    from wandb.apis.public.sweeps import _validate_config_and_fill_distribution as validated

    sweep = parse_sweep(path.read_text(), discover()[MODELS.get(path.stem, path.stem)].config, path.name)
    assert validated(dict(sweep.definition))["parameters"].keys() == sweep.parameters.keys()


@pytest.mark.parametrize("bounds", ["min: 1, max: 8", "min: 1.0, max: 8.0", "min: 1, max: 8.0"])
def test_bounds_without_a_distribution_mean_what_wandbs_client_takes_them_for(bounds: str) -> None:
    from wandb.apis.public.sweeps import _validate_config_and_fill_distribution as validated

    definition = yaml.safe_load(HEAD.format(method="random") + f"  size: {{{bounds}}}\n")
    try:
        name = validated(definition)["parameters"]["size"]["distribution"]
    except ValueError:
        with pytest.raises(SettingError, match="ambiguous"):
            parse_parameter(definition["parameters"]["size"], "size")
        return
    ours = parse_parameter(definition["parameters"]["size"], "size").quantile
    theirs = parse_parameter({**definition["parameters"]["size"], "distribution": name}, "size").quantile
    assert ours is not None
    assert theirs is not None
    assert [ours(share) for share in (0.0, 0.4, 1.0)] == [theirs(share) for share in (0.0, 0.4, 1.0)]


@pytest.mark.parametrize(
    "body",
    [
        {"distribution": "uniform", "min": 0.5, "max": 8.5},
        {"distribution": "int_uniform", "min": 2, "max": 9},
        {"distribution": "log_uniform_values", "min": 0.01, "max": 10.0},
        {"distribution": "q_uniform", "min": 1.0, "max": 3.0, "q": 0.5},
    ],
    ids=lambda body: body["distribution"],
)
def test_ranges_are_those_that_wandb_gives_optuna(body: dict[str, Any]) -> None:
    """W&B's client ships a translation of its sweeps into Optuna's distributions, for those that both have."""
    from wandb.sdk.sweeps.scheduler.optuna import sweep_parameter_to_distribution

    theirs: Any = sweep_parameter_to_distribution(body)
    quantile = parse_parameter(body, "toy").quantile
    assert quantile is not None
    assert (quantile(0.0), quantile(1.0)) == pytest.approx((theirs.low, theirs.high))
    assert all(theirs._contains(theirs.to_internal_repr(quantile(share))) for share in (0.1, 0.5, 0.9))
    assert theirs.log == (quantile(0.5) ** 2 == pytest.approx(quantile(0.0) * quantile(1.0)))


@pytest.mark.parametrize(
    "text", ["API_KEY=hush-hush\nOTHER=1\n", "- hush-hush\n", "key: [hush-hush\n", "\tkey: hush-hush"]
)
def test_what_is_no_sweep_file_is_told_without_its_contents(text: str) -> None:
    with pytest.raises(SettingError) as error:
        parse_sweep(text, Toy, ".env")
    assert "hush" not in str(error.value)
    assert error.value.__cause__ is None

"""Launchpad fields from the command line: read and checked as `recsys evaluate` reads and checks the models' own."""

from typing import Any

import pytest

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.definitions import defs
from recsys_pipeline.defs.overrides import op_config
from recsys_pipeline.evaluate.request import find_contenders

ALS = "models/als"


def in_run(*settings: str) -> dict[str, Any]:
    """Fields of `models/als` as `recsys run` hands them to Dagster."""
    found = op_config(defs.resolve_job_def("batch_daily"), [f"{ALS}.{setting}" for setting in settings])
    return found["models__als"]["config"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("reg=1e-3", 0.001), ("reg=.5", 0.5), ("reg=2", 2.0), ("epochs=08", 8), ("epochs=2e1", 20), ("epochs=5.0", 5),
        ("use_item_bias=false", False), ("target=value", "value"), ('target="one"', "one"), ("gravity=1E1", 10.0),
    ],
)  # fmt: skip
def test_run_and_evaluate_read_a_value_alike(setting: str, value: Any) -> None:
    name = setting.partition("=")[0]
    found = in_run(setting)[name]
    assert found == value
    assert (type(found) is int) == (type(value) is int)
    (contender,) = find_contenders(["als"], [f"als.{setting}"])
    assert getattr(contender.config, name) == value


@pytest.mark.parametrize(
    "setting",
    ["reg=1_000", "reg=much", "reg=null", "reg=true", "epochs=1.5", "epochs=true", "use_item_bias=on",
     "use_item_bias=1e", "reg=-1e-3", "reg=[0.1]", "reg=.inf", "target=1", "reg=[1"],
)  # fmt: skip
def test_run_and_evaluate_refuse_a_value_alike(setting: str) -> None:
    with pytest.raises(SettingError):
        in_run(setting)
    with pytest.raises(SettingError):
        find_contenders(["als"], [f"als.{setting}"])

"""Forms made from dataclasses: same defaults, bounds and texts, and back again."""

from dataclasses import dataclass
from typing import Literal

import dagster as dg
import pytest
from pydantic import Field, ValidationError

from recsys_pipeline.core.configs import setting
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.models import discover
from recsys_pipeline.defs.config_form import config_form, from_form


@dataclass(frozen=True)
class Example:
    size: int = setting(3, "How many.", ge=1, le=9)
    rate: float = setting(0.5, "How fast.", gt=0, lt=1)
    widths: tuple[int, ...] = setting((1, 2), "How wide.")
    mode: Literal["quick", "exact"] = setting("quick", "How.")
    eager: bool = setting(False, "Whether.")


@dataclass(frozen=True)
class Together:
    low: int = setting(0, "The least.")
    high: int = setting(9, "The most.")

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise SettingError(f"low is {self.low}, above high, {self.high}")


FORM = config_form(Example, seed=(int, Field(0, description="Seed.")))


def test_an_empty_form_is_the_default_config() -> None:
    assert from_form(Example, FORM()) == Example()
    assert FORM().seed == 0  # pyright: ignore[reportAttributeAccessIssue] (a field made at run time)


def test_values_that_do_not_go_together_make_no_form() -> None:
    with pytest.raises(SettingError, match="low is 10, above high, 9"):
        config_form(Together)(low=10)


def test_values_come_back_with_their_types() -> None:
    config = from_form(Example, FORM(size=9, rate=0.1, widths=[4, 8, 16], mode="exact", eager=True))
    assert config == Example(9, 0.1, (4, 8, 16), "exact", True)
    assert hash(config) == hash(Example(9, 0.1, (4, 8, 16), "exact", True)), "a list in it could not be hashed"


@pytest.mark.parametrize(
    "values", [{"size": 0}, {"size": 10}, {"rate": 0.0}, {"rate": 1.0}, {"mode": "slow"}, {"widths": "x"}]
)
def test_bad_values_are_refused_by_name(values: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        FORM(**values)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"size": 2}, Example(size=2)),
        ({"mode": "exact"}, Example(mode="exact")),
        ({"widths": [3]}, Example(widths=(3,))),
        ({"rate": 0.25, "eager": True}, Example(rate=0.25, eager=True)),
    ],
)
def test_dagster_takes_the_form(config: dict, expected: Example) -> None:
    seen = []

    @dg.asset
    def probe(config: FORM) -> None:  # pyright: ignore[reportInvalidTypeForm] (made at run time)
        seen.append(from_form(Example, config))

    result = dg.materialize([probe], run_config={"ops": {"probe": {"config": config}}})
    assert result.success
    assert seen == [expected]


@pytest.mark.parametrize("name", sorted(discover()))
def test_every_model_config_survives_the_form(name: str) -> None:
    config = discover()[name].config
    form = config_form(config)
    assert from_form(config, form()) == config()
    undescribed = [field for field, info in form.model_fields.items() if not info.description]
    assert undescribed == []

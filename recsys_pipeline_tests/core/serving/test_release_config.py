"""Which model is released is a setting, and what cannot be released says why."""

import pytest

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.serving.release_config import ASKED, RELEASED_MODELS, ReleaseConfig, released_model


def test_what_is_released_by_default_can_do_all_that_is_asked() -> None:
    assert ReleaseConfig().model in RELEASED_MODELS
    for name in RELEASED_MODELS:
        model = released_model(name).load.__self__  # pyright: ignore[reportFunctionMemberAccess] (a class method)
        assert [method for method in ASKED if not callable(getattr(model, method, None))] == []


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("sampled_mf", r"it has no fold_in_items \(vectors for items that were first taken after the fit\); als can"),
        ("popularity", r"it has no fold_in \(.*\) and no fold_in_items \("),
        ("best", "there is but one that can be"),
        ("alss", "there is no such model .there are als, "),
    ],
)
def test_another_model_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(SettingError, match=rf"ReleaseConfig\.model: '{name}' cannot be released, since {why}"):
        ReleaseConfig(model=name)


def test_every_registered_model_has_a_reason_or_can() -> None:
    for name in discover():
        if name not in RELEASED_MODELS:
            with pytest.raises(SettingError, match="cannot be released, since"):
                released_model(name)

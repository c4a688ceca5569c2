"""Which model is released is a setting, what cannot be released says why, and no stage knows a model by its name."""

import re
from pathlib import Path

import pytest

import recsys_pipeline
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.recommenders import lacks_for_release
from recsys_pipeline.core.serving.release_config import ReleaseConfig, released_model

PACKAGE = Path(recsys_pipeline.__file__).parent


@pytest.mark.parametrize("name", ["als", "sampled_mf"])
def test_a_model_that_can_do_all_that_is_asked_is_released(name: str) -> None:
    assert ReleaseConfig(model=name).model == name
    assert released_model(name).name == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("popularity", r"it has no item_vectors \(.*\) and no user_vectors \(.*\) and no fold_in \("),
        ("alss", "there is no such model .there are als, "),
    ],
)
def test_another_model_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(SettingError, match=rf"ReleaseConfig\.model: '{name}' cannot be released, since {why}.*als, "):
        ReleaseConfig(model=name)


def test_what_every_model_lacks_decides() -> None:
    for name, spec in discover().items():
        if lacks_for_release(spec.model):
            with pytest.raises(SettingError, match=f"'{name}' cannot be released, since it has no"):
                released_model(name)
        else:
            assert released_model(name) is not None


def test_no_line_names_sampled_mf_outside_its_own_files() -> None:
    own = {PACKAGE / "core" / "models" / "sampled_mf.py"}
    named = [str(path) for path in PACKAGE.rglob("*.py")
             if path not in own and re.search(r"\bsampled_mf\b", path.read_text())]  # fmt: skip
    assert named == []

"""Every file that docs/extending.md shows is added as it stands, found by itself, and run."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from recsys_pipeline.core import models
from recsys_pipeline.core.learning.looks import towers
from recsys_pipeline.core.learning.looks.towers import Architecture, discover_towers
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline_tests.model_battery import planted_blocks

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
FILES = {
    Path(name).name: text for name, text in re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
}


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The files in a folder that each package is looked for in too."""
    for name, package in (("recent.py", models), ("average.py", towers)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(FILES[name])
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    _forget()
    yield
    _forget()


def _forget() -> None:
    for function in (discover, discover_towers):
        if hasattr(function, "cache_clear"):
            function.cache_clear()  # pyright: ignore[reportFunctionMemberAccess]


@pytest.mark.usefixtures("added")
def test_the_model_is_found_fitted_judged_and_stored(tmp_path: Path) -> None:
    rows = np.arange(len(planted_blocks()[0]))
    train, test = (planted_blocks()[0].take(rows % 4 != 0), planted_blocks()[0].take(rows % 4 == 0))
    spec = discover()["recent"]
    model = spec.fit(train, spec.config(half_life_days=2.0), 0)
    assert 0 < evaluate_ranking(model, train, test, [10], name="recent").mean("ndcg", 10) < 1
    model.save(tmp_path / "stored")
    users = np.arange(3, dtype=np.int32)
    assert (spec.load(tmp_path / "stored").scores(users) == model.scores(users)).all()


@pytest.mark.usefixtures("added")
def test_the_tower_is_found_and_makes_vectors() -> None:
    spec = discover_towers()["average"]
    tower = spec.build(Architecture("average", (), 8, 16), nnx.Rngs(0))
    seen = tower(jnp.ones((2, 16, 16, 3)))
    assert seen.vector.shape == (2, 8)
    assert seen.regions.shape == (2, 16, 3)


def test_all_shown_files_are_tested() -> None:
    assert set(FILES) == {"recent.py", "average.py"}
    assert all(isinstance(package, ModuleType) for package in (models, towers))

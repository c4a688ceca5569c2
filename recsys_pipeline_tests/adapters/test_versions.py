"""An asset's code version moves with what may shape its artifact, wherever that lies, and with nothing else."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys_pipeline.adapters.store import versions
from recsys_pipeline.adapters.store.code_graph import CodeGraph
from recsys_pipeline.adapters.store.module_index import DECORATED, index_module
from recsys_pipeline.adapters.store.versions import code_of, graph, library_versions, node_of
from recsys_pipeline.defs.asset import ASSETS, Asset
from recsys_pipeline.defs.declarations import asset_modules

asset_modules()
KEYS = tuple(ASSETS)
Change = Callable[[str, str, str], None]


def all_versions() -> dict[str, str]:
    return {key: Asset(**{name: getattr(made, name) for name in made.__dataclass_fields__}).code_version
            for key, made in ASSETS.items()}  # fmt: skip


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return all_versions()


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch, before: dict[str, str]) -> Change:
    """Replaces a text in a module, as versions see it: nothing is written."""
    assert before
    found = CodeGraph(versions.PACKAGE)
    found._names = dict(graph()._names)
    monkeypatch.setattr(versions, "graph", lambda: found)
    texts: dict[str, str] = {}

    def replace(file: str, text: str, by: str) -> None:
        module = f"{versions.PACKAGE.name}.{file.removesuffix('.py').replace('/', '.')}"
        content = texts.get(file) or (versions.PACKAGE / file).read_text()
        assert text in content, file
        texts[file] = content.replace(text, by, 1)
        found._names[module] = index_module(texts[file])

    return replace


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that a test may change, which is then what versions are of."""
    copy = tmp_path / versions.PACKAGE.name
    shutil.copytree(versions.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    found = CodeGraph(copy)
    found._known.update(graph()._known)  # what did not change need not be read anew
    monkeypatch.setattr(versions, "graph", lambda: found)
    return copy


def moved(before: dict[str, str]) -> set[str]:
    """Of artifacts: the pointer to the champion is none."""
    return {key for key, version in all_versions().items() if version != before[key]} - {"serving/champion"}


def test_features_of_moves_all_that_it_shapes(change: Change, before: dict[str, str]) -> None:
    change("defs/models.py", "def features_of(", "FEATURES_VERSION = 2\n\n\ndef features_of(")
    assert moved(before) == set(), "a constant that nobody uses shapes nothing"
    change("defs/models.py", "photos = photo_vectors(inputs)", "photos = None")
    assert {"models/cold_start", "neighbors/cold_vectors", "serving/release", "reports/new_items"} <= moved(before)
    assert "models/als" not in moved(before)


def test_unremembered_as_a_no_op_moves_yesterdays_ranking_and_decision(change: Change, before: dict[str, str]) -> None:
    change(
        "defs/warm_starts.py", "return dataclasses.replace(found, test=found.test.take(never_in(found.test, folds)))",
        "return found",
    )  # fmt: skip
    assert {"reports/ranking", "serving/decision"} <= moved(before)
    assert not {key for key in moved(before) if key.startswith(("dataset/", "models/", "neighbors/", "folds/"))}


@pytest.mark.parametrize(
    ("file", "text", "by"),
    [
        ("core/models/als.py", '"""', '"""Said in other words. '),
        ("core/models/als.py", "import numpy as np\n", "import numpy as np  # the library of arrays\n"),
        ("core/folds/prequential.py", "    return", "    # why\n    return"),
        ("defs/warm_starts.py", "def _plain(value: Any) -> str:", "def _plain(value: object) -> str:"),
    ],
    ids=["docstring", "comment behind", "comment above", "annotation"],
)
def test_words_move_nothing(change: Change, before: dict[str, str], file: str, text: str, by: str) -> None:
    change(file, text, by)
    assert moved(before) == set()


def models(*names: str) -> set[str]:
    return {f"models/{name}" for name in names}


ALL_MODELS = {key for key in KEYS if key.startswith("models/")} - {"models/cold_start"}


@pytest.mark.parametrize(
    ("file", "text", "by", "stale"),
    [
        ("core/models/als.py", "SPEC = ", "X = 1\nSPEC = X and ", models("als")),
        ("core/models/popularity.py", "SPEC = ", "X = 1\nSPEC = X and ", models("popularity")),
        ("core/learning/looks/towers/style.py", "SPEC = ", "X = 1\nSPEC = X and ", models("stl")),
        ("core/reports/accuracy/metrics.py", "import ", "raise SystemExit\nimport ", set()),
        ("defs/models.py", 'facts["fit"]', 'facts["fat"]', ALL_MODELS),
    ],
)
def test_a_change_reaches_the_models_that_use_it(
    change: Change, before: dict[str, str], file: str, text: str, by: str, stale: set[str]
) -> None:
    change(file, text, by)
    assert moved(before) & ALL_MODELS == stale


def test_another_model_file_makes_no_model_stale(before: dict[str, str], copied: Path) -> None:
    folder = copied / "core" / "models"
    shutil.copy(folder / "popularity.py", folder / "another.py")
    assert moved(before) & ALL_MODELS == set()
    assert "reports/ranking" in moved(before), "who looks for models finds it"


def test_a_template_counts_as_code(before: dict[str, str], copied: Path) -> None:
    page = copied / "core" / "reports" / "page" / "page.html.j2"
    page.write_text(page.read_text() + "<!-- changed -->")
    assert "reports/daily" in moved(before)
    assert "reports/ranking" not in moved(before)


def test_how_an_artifact_is_shown_shapes_it_not(change: Change, before: dict[str, str]) -> None:
    change("defs/models.py", 'f"plot of {name}"', 'f"curve of {name}"')
    assert moved(before) == set()


def test_the_source_that_is_configured_counts(change: Change, before: dict[str, str]) -> None:
    change("adapters/sources/sql.py", "import ", "raise SystemExit\nimport ")
    assert moved(before) == set(), "the simulator is"
    change("core/dataset/simulator/source.py", "    def items(", "    def things(")
    assert {"dataset/interactions", "dataset/items", "dataset/looks"} <= moved(before)


def test_every_name_that_is_followed_is_found() -> None:
    """A name that leads nowhere would be code that nobody watches."""
    index, lost = graph(), []
    for made in ASSETS.values():
        for module, name in made._code.nodes:
            names = index._of(module)
            known = {*names.digests, *names.imports, "", *(key for key in names.uses)} if names else {name}
            if name not in known and not name.startswith(DECORATED.format("")) and not re.fullmatch("__.*__", name):
                lost.append(f"{module}.{name}")
    assert lost == []


def test_indexes_are_kept_and_read_again(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    root = [node_of(code_of)]
    first = CodeGraph(versions.PACKAGE, kept).code(root)
    assert kept.is_file()
    assert CodeGraph(versions.PACKAGE, kept).code(root) == first
    kept.write_text("damaged")
    assert CodeGraph(versions.PACKAGE, kept).code(root) == first
    assert CodeGraph(versions.PACKAGE, None).code(root) == first


def test_a_function_whose_code_cannot_be_followed_is_refused() -> None:
    with pytest.raises(TypeError, match="at the top of a module"):
        node_of(lambda: 0)


def test_libraries_are_those_that_the_code_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    import jax
    import numpy as np

    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    found = ASSETS["models/als"].libraries
    assert (found["jax"], found["numpy"]) == (jax.__version__, np.__version__)
    assert found["JAX_ENABLE_X64"] == "1", "other figures come out of the same program"
    assert "optuna" in ASSETS["learning/als_sweep"].libraries
    assert {"faiss-cpu", "optuna"} & found.keys() == set()
    of_hashing = library_versions(code_of([("recsys_pipeline.core.hashing", "text_hashes")]))
    assert of_hashing.keys() <= {"numpy", "pandas", "python"}, "no jax: its flags are not its own"
    assert os.environ["JAX_ENABLE_X64"] == "1"

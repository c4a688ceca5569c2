"""A deployment that releases another model: batch, gate, promotion and an hour of overlay, by a settings file alone."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

from recsys_pipeline.adapters.serving.releases import champion
from recsys_pipeline.core.serving.gate import Decision
from recsys_pipeline.core.serving.recommend import recommend
from recsys_pipeline.core.serving.release import LEARNED, Release
from recsys_pipeline.core.speed.overlay import Overlay
from recsys_pipeline_tests.deployment import DAY, NEXT_DAY, TINY_MODELS, Deployment

MODEL = "sampled_mf"
HOUR = f"{NEXT_DAY}-05:00"
FIELDS = {
    **{name: value for name, value in TINY_MODELS.items() if not name.startswith("serving/")},
    "serving/release.model": MODEL, f"models/{MODEL}.embedding_size": 16, f"models/{MODEL}.epochs": 60,
    f"models/{MODEL}.learning_rate": 0.05,  # with fewer steps it ranks below popularity, and the gate says so
}  # fmt: skip


def settings_file(path: Path) -> Path:
    """The fields as a deployment's settings."""
    ops: dict[str, dict[str, dict[str, object]]] = {}
    for name, value in FIELDS.items():
        key, _, field = name.rpartition(".")
        ops.setdefault(key.replace("/", "__"), {"config": {}})["config"][field] = value
    path.write_text(yaml.safe_dump({"ops": ops}))
    return path


def recsys(deployment: Deployment, settings: Path, *arguments: str) -> None:
    """In a process of its own: which model is released is known once definitions are built."""
    with deployment.active():
        environment = {**os.environ, "RECSYS_SETTINGS_FILE": str(settings)}
        done = subprocess.run(
            [sys.executable, "-m", "recsys_pipeline.cli", *arguments], env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_another_model_goes_through_the_gate_and_into_the_hours(deployment: Deployment, tmp_path: Path) -> None:
    settings = settings_file(tmp_path / "settings.yaml")
    recsys(deployment, settings, "run", "batch_daily", DAY)
    served = champion(deployment.store)
    assert served is not None
    assert served.manifest.recipe.partition == DAY
    assert f"models/{MODEL}" in [ref.key for ref in served.manifest.recipe.inputs]
    made = deployment.artifacts(DAY)
    assert Decision.load(made["serving/decision"].path).promoted
    assert f"neighbors/{MODEL}_index" in made
    assert "neighbors/als_index" not in made, "of what is not released nobody searches"
    release = Release.load(served.path)
    assert (release.config.model, type(release.model).__module__.rpartition(".")[2]) == (MODEL, MODEL)
    kinds = release.catalogue["kind"].to_pylist()
    assert LEARNED in kinds

    recsys(deployment, settings, "run", "speed_hourly", HOUR)
    overlay = Overlay.load(deployment.artifacts(HOUR)["speed/overlay"].path, release)
    assert len(overlay.user_vectors) > 5
    assert np.isfinite(overlay.user_vectors).all()
    lists = recommend(release, overlay, ["u000001", "somebody new"], release.config.k)
    assert (lists.item_ids != "").all()

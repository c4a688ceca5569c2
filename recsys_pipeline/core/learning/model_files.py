"""How a model is stored: named arrays in `arrays.safetensors`, everything else in `model.json`; never a pickle."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32

from recsys_pipeline.core.configs import parse_config
from recsys_pipeline.core.errors import ArtifactError, ModelError, SettingError
from recsys_pipeline.core.files import load_arrays, read_json, save_arrays
from recsys_pipeline.core.ratings import Ratings

ARRAYS, DOCUMENT = "arrays.safetensors", "model.json"


def save_model(directory: Path, name: str, config: Any, arrays: dict[str, np.ndarray], **facts: Any) -> None:
    """Write a model's config, facts (what is neither config nor array, as JSON) and arrays into a folder."""
    directory.mkdir(parents=True, exist_ok=True)
    document = {"model": name, "config": dataclasses.asdict(config), "facts": facts}
    save_arrays(directory / ARRAYS, arrays)
    (directory / DOCUMENT).write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_model(directory: Path, name: str, config: type) -> tuple[Any, dict[str, np.ndarray], dict[str, Any]]:
    """The (config, arrays, facts) that `save_model` wrote; raises `ArtifactError` where they are absent or broken."""
    document, arrays = read_json(directory / DOCUMENT), load_arrays(directory / ARRAYS)
    try:
        found, settings, facts = (document[key] for key in ("model", "config", "facts"))
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{directory} holds no readable model ({error}): fit and save it again") from error
    if found != name:
        raise ArtifactError(f"{directory / DOCUMENT} holds a {found!r} model, not {name!r}")
    try:
        return parse_config(config, settings, "config"), arrays, facts
    except SettingError as error:
        raise ArtifactError(f"{directory / DOCUMENT} does not suit this version ({error}): fit it again") from error


def check_users(users: Int32[np.ndarray, " batch"], n_users: int) -> None:
    """Raise `ModelError` for ids that the model was not fitted on."""
    unknown = users[(users < 0) | (users >= n_users)]
    if len(unknown):
        raise ModelError(
            f"user {unknown[0]} is outside 0..{n_users - 1}, the users that the model was fitted on: fold it in"
        )


def check_items(histories: Ratings, n_items: int) -> None:
    """Raise `ModelError` where histories use another item id space than the model's."""
    if histories.n_items != n_items:
        raise ModelError(f"histories have {histories.n_items} items, the model {n_items}: use the model's item id map")

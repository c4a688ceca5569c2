"""Policies by name: files of the project over those that are built in; and by digest, of lists that were served."""

import json
from collections.abc import Mapping
from pathlib import Path

from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.core.configs import similar_names
from recsys_pipeline.core.errors import ArtifactError, SettingError
from recsys_pipeline.core.serving.policy.policy import BUILT_IN, Policy, parse_policy, read_policy

FOLDER = Path("conf/serving")
KEPT = "serving/policies"
"""Below the store's root: every policy by which a list was served, so that it can be made again."""


def policy_names(folder: Path = FOLDER) -> list[str]:
    """All that can be asked for."""
    return sorted({*BUILT_IN, *(file.stem for file in folder.glob("*.yaml"))})


def policies(folder: Path = FOLDER) -> Mapping[str, Policy]:
    """Every policy by name: a file `conf/serving/NAME.yaml` stands before the built-in one of its name.

    Raises `SettingError` naming the file and the key that is wrong.
    """
    found = {name: parse_policy(document, name) for name, document in BUILT_IN.items()}
    for file in sorted(folder.glob("*.yaml")):
        policy = read_policy(file)
        if policy.name != file.stem:
            raise SettingError(f"{file}: its name is {policy.name!r}; a policy has the name of its file")
        found[file.stem] = policy
    return found


def policy_named(name: str, folder: Path = FOLDER) -> Policy:
    """One of them; raises `SettingError` with those that there are."""
    found = policies(folder)
    if name not in found:
        raise SettingError(f"there is no policy {name!r}; {similar_names(name, found)} (files of {folder})")
    return found[name]


def keep_policy(store: ArtifactStore, policy: Policy) -> None:
    """Write a policy down by its digest, once; before any list that is made by it is served."""
    name = f"{KEPT}/{policy.digest}.json"
    if store.read_file(name) is None:
        store.write_file(name, policy.text.encode())


def kept_policy(store: ArtifactStore, digest: str) -> Policy:
    """The policy of a digest; raises `ArtifactError` where it was never kept, or is not what it was."""
    text = store.read_file(f"{KEPT}/{digest}.json")
    if text is None:
        raise ArtifactError(f"{store.root}/{KEPT} has no policy {digest[:12]}: no list was served by it from here")
    policy = parse_policy(json.loads(text), f"{KEPT}/{digest}.json")
    if policy.digest != digest:
        raise ArtifactError(f"{store.root}/{KEPT}/{digest}.json is not what was kept: restore it from a copy")
    return policy

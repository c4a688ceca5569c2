"""Policies by name and by digest."""

from pathlib import Path

import pytest

from recsys_pipeline.adapters.serving.policies import KEPT, keep_policy, kept_policy, policies, policy_named
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.core.errors import ArtifactError, SettingError
from recsys_pipeline.core.serving.policy.policy import BUILT_IN, default_policy, parse_policy


def test_a_file_stands_before_the_built_in_policy_of_its_name(tmp_path: Path) -> None:
    assert policy_named("default", tmp_path) == default_policy()
    (tmp_path / "default.yaml").write_text("sources: [popular]\nscorers: [model]\n")
    (tmp_path / "evening.yaml").write_text("sources: [index]\nscorers: [model]\nseed: 4\n")
    found = policies(tmp_path)
    assert set(found) == {*BUILT_IN, "evening"}
    assert [part.NAME for part in found["default"].sources] == ["popular"]
    assert found["evening"].seed == 4


def test_the_projects_own_policies_hold() -> None:
    assert "diverse" in policies(Path(__file__).parents[2] / "conf" / "serving")


def test_a_name_that_nobody_has_is_told_with_those_like_it(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="there is no policy 'serach'; similar are search"):
        policy_named("serach", tmp_path)


def test_a_file_with_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: b\nsources: [index]\nscorers: [model]\n")
    with pytest.raises(SettingError, match=r"a\.yaml: its name is 'b'"):
        policies(tmp_path)


def test_a_policy_is_found_again_by_its_digest_whatever_its_file_says_since(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"), tmp_path / "cache")
    policy = parse_policy({**BUILT_IN["default"], "orderers": [{"mmr": {"pool": 20}}], "seed": 3})
    keep_policy(store, policy)
    keep_policy(store, policy)
    assert kept_policy(store, policy.digest) == policy
    with pytest.raises(ArtifactError, match=f"has no policy {default_policy().digest[:12]}"):
        kept_policy(store, default_policy().digest)
    file = tmp_path / "store" / KEPT / f"{policy.digest}.json"
    file.write_text(file.read_text().replace('"pool": 20', '"pool": 21'))
    with pytest.raises(ArtifactError, match="is not what was kept"):
        kept_policy(store, policy.digest)

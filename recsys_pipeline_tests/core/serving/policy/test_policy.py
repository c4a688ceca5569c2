"""Policies: a document has one digest, every setting is spelled out, and a mistake is told by its place."""

from pathlib import Path
from typing import Any

import pytest

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.serving.policy.parts import KINDS, classes
from recsys_pipeline.core.serving.policy.policy import default_policy, parse_policy, read_policy

SMALL: dict[str, Any] = {"name": "small", "sources": ["index"], "scorers": ["model"]}


def test_a_policy_comes_back_from_its_own_document() -> None:
    policy = parse_policy({**SMALL, "orderers": [{"mmr": {"relevance": 0.5}}]})
    again = parse_policy(policy.document())
    assert again == policy
    assert again.digest == policy.digest
    assert policy.document()["orderers"] == [{"mmr": {"relevance": 0.5, "pool": 50}}]


def test_what_is_spelled_out_has_the_digest_of_what_is_not() -> None:
    assert (
        parse_policy({**SMALL, "scorers": [{"model": {"weight": 1.0}}], "seed": 0}).digest == parse_policy(SMALL).digest
    )
    assert parse_policy({**SMALL, "scorers": [{"model": {"weight": 2.0}}]}).digest != parse_policy(SMALL).digest
    assert parse_policy({**SMALL, "seed": 1}).digest != parse_policy(SMALL).digest


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({**SMALL, "source": ["index"]}, r"policy: no key 'source'; similar are sources"),
        ({**SMALL, "sources": ["indx"]}, r"policy\.sources\[0\]: sources know no 'indx'; similar are index"),
        ({**SMALL, "orderers": ["mmr", {"mmr": {"lambda": 1}}]}, r"orderers\[1\]\.mmr\.lambda: Mmr has no field"),
        ({**SMALL, "orderers": [{"mmr": {"relevance": 2}}]}, r"\[0\]\.mmr\.relevance must be at most 1"),
        ({**SMALL, "scorers": []}, r"policy\.scorers is empty"),
        ({**SMALL, "filters": "taken"}, r"policy\.filters must be a list"),
        ({**SMALL, "filters": [3]}, r"policy\.filters\[0\] must be a name"),
        ({**SMALL, "seed": -1}, r"policy\.seed must be a whole number"),
        ({**SMALL, "name": ""}, r"policy\.name must be a text"),
        ({**SMALL, "scorers": [{"boost": {"start": "soon"}}]}, r"Boost\.start must be a date"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_its_place(document: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        parse_policy(document)


def test_a_file_has_the_name_of_its_policy(tmp_path: Path) -> None:
    file = tmp_path / "evening.yaml"
    file.write_text("sources: [index]\nscorers: [model]\norderers:\n  - mmr: {relevance: 1e-1}\n")
    assert read_policy(file).name == "evening"
    file.write_text("- index\n")
    with pytest.raises(SettingError, match=r"evening\.yaml is no policy"):
        read_policy(file)
    with pytest.raises(SettingError, match=r"nowhere\.yaml is no policy"):
        read_policy(tmp_path / "nowhere.yaml")


def test_every_part_says_what_it_is() -> None:
    for kind in KINDS:
        for name, part in classes(kind).items():
            assert part.__doc__, (kind, name)
            assert name == part.NAME


def test_the_default_policy_guards() -> None:
    assert [part.NAME for part in default_policy().filters] == ["on_sale", "taken", "avoided", "asked_for"]

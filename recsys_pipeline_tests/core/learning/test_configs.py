"""What people type after `--set`: one reading for all commands, in which JSON means what it says."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.configs import read_value
from recsys_pipeline.core.errors import SettingError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1E5", 100_000.0), ("-2.5e+1", -25.0), (".5", 0.5), ("5.", 5.0), ("+3", 3), ("-7", -7),
        ("08", 8), ("0x1F", 31), ("0o17", 15), ("-.inf", -math.inf), ("1_000", "1_000"), ("1:30", "1:30"),
        ("2026-01-05", "2026-01-05"), ("plain text", "plain text"),
        ("on", "on"), ("off", "off"), ("yes", "yes"), ("no", "no"), ("y", "y"), ("true", True), ("False", False),
        ("null", None), ("~", None), ("", ""), (" ", " "), ('"text"', "text"), ("'08'", "08"),
        ("[1, 2]", [1, 2]), ("[1e-3, on]", [0.001, "on"]), ('{"a": 1}', {"a": 1}), ("conf/a.yaml", "conf/a.yaml"),
        ("1.2.3", "1.2.3"), ("nan", "nan"), ("Infinity", "Infinity"), ("1e", "1e"), ("=", "="), ("<<", "<<"),
    ],
)  # fmt: skip
def test_a_typed_value(text: str, value: Any) -> None:
    found = read_value(text)
    assert (found, type(found)) == (value, type(value))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                    | st.text("abcde 019.-+_:{}[],#", max_size=8), lambda one: st.lists(one, max_size=3)))  # fmt: skip
def test_json_means_what_it_says(value: Any) -> None:
    assert read_value(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["[1, 2", "@x", "a: b: c", "!!python/name:os.system", "9" * 5000])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="is no YAML value"):
        read_value(text)

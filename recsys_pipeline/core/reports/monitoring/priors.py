"""Priors: what a day or a release looked like, kept small enough to compare any later day or hour with.

A `Profile` holds bounded random samples of distributions, each value with the user or the item that it came from, and a
few shares. Samples instead of finished histograms, because then the reference decides the bins (its quantiles) when two
profiles are compared, however coarse the later one is, and because the values of one user are not independent: the unit
is what tells how much a sample is worth (`drift.effective_size`).
"""

import dataclasses
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64, Integer, Shaped

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.errors import ArtifactError, DataError
from recsys_pipeline.core.files import read_json

EMPTY_LISTS = "empty_lists"
"""The share of users whose list is empty; it has a limit of its own."""

_SAMPLES, _DOCUMENT = "samples.parquet", "profile.json"


@dataclass(frozen=True)
class ProfileConfig:
    """How much of a day is kept, and which lists are looked at."""

    sample_size: int = setting(5_000, "Values kept of each distribution, at most.", ge=10)
    n_users: int = setting(2_000, "Users of the day whose lists are made, at most.", ge=1)
    n_neighbor_items: int = setting(500, "Items whose nearest neighbour is measured, at most.", ge=1)
    list_size: int = setting(10, "Places in a recommended list.", ge=1)

    __post_init__ = check_settings


@dataclass(frozen=True)
class Distribution:
    """A sample of numbers (finite) or of labels (text), in which `unit` is the user or item behind each value."""

    values: Shaped[np.ndarray, " n"]
    unit: Int64[np.ndarray, " n"]
    population: int
    """How many values there were to draw from."""

    def __post_init__(self) -> None:
        if len(self.values) != len(self.unit):
            raise DataError(f"{len(self.values)} values for {len(self.unit)} units: each value needs its own")
        if not self.is_labels and not np.isfinite(self.values).all():
            raise DataError("a distribution holds a number that is not finite: leave such values out")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_labels(self) -> bool:
        """Whether the values are text."""
        return self.values.dtype == object


@dataclass(frozen=True)
class Share:
    """`count` of `total`, each an independent unit."""

    count: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.total:
            raise DataError(f"a share of {self.count} out of {self.total}: the count must lie between 0 and the total")

    @property
    def value(self) -> float:
        """The share itself; NaN of nothing."""
        return self.count / self.total if self.total else float("nan")


@dataclass(frozen=True)
class Profile:
    """Everything that is compared, by name; `absent` says why a distribution could not be taken, and `settings` what
    identifies the model behind its figures: empty where none is, or where that was not written down."""

    distributions: Mapping[str, Distribution] = field(default_factory=dict)
    shares: Mapping[str, Share] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __or__(self, other: "Profile") -> "Profile":
        """Both together; of an equal name, the other's."""
        return Profile(
            {**self.distributions, **other.distributions},
            {**self.shares, **other.shares},
            {**self.absent, **other.absent},
            {**self.settings, **other.settings},
        )

    def has_settings_of(self, other: "Profile") -> bool:
        """Whether both are of models with the same settings, as far as both say so."""
        return bool(self.settings) and self.settings == other.settings

    def save(self, directory: Path) -> None:
        """Write `samples.parquet` (name, number or label, unit) and `profile.json`."""
        directory.mkdir(parents=True, exist_ok=True)
        parts = [_as_table(name, found) for name, found in self.distributions.items()]
        pq.write_table(pa.concat_tables([_SCHEMA.empty_table(), *parts]), directory / _SAMPLES, compression="zstd")
        document = {
            "distributions": {
                name: {"labels": found.is_labels, "population": found.population}
                for name, found in self.distributions.items()
            },
            "shares": {name: vars(found) for name, found in self.shares.items()},
            "absent": dict(self.absent),
            "settings": dict(self.settings),
        }
        (directory / _DOCUMENT).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> "Profile":
        """Read what `save` wrote; raises `ArtifactError` where a file is missing or broken."""
        document = read_json(directory / _DOCUMENT)
        try:
            rows = pq.read_table(directory / _SAMPLES, schema=_SCHEMA)
            names = rows.column("name").to_numpy()
            distributions = {
                name: _from_table(rows.filter(pa.array(names == name)), **facts)
                for name, facts in document["distributions"].items()
            }
            shares = {name: Share(**found) for name, found in document["shares"].items()}
            return cls(distributions, shares, document["absent"], document.get("settings", {}))
        except (OSError, KeyError, TypeError, pa.ArrowInvalid) as error:
            raise ArtifactError(f"no readable profile in {directory} ({error}): materialize it again") from error


_SCHEMA = pa.schema(
    [("name", pa.string()), ("number", pa.float64()), ("label", pa.string()), ("unit", pa.int64())]
)  # fmt: skip


def model_settings(config: Any) -> dict[str, Any]:
    """What a profile keeps of a model's config: its kind and every setting, as JSON gives them back."""
    return json.loads(json.dumps({"kind": type(config).__name__, **dataclasses.asdict(config)}))


def draw(
    name: str, values: Shaped[np.ndarray, " n"], unit: Integer[np.ndarray, " n"], sample_size: int, seed: int
) -> Distribution:
    """At most `sample_size` of the values, without replacement; numbers that are not finite are left out first.

    Each name draws from a stream of its own, so that one distribution more changes no other.
    """
    is_labels = values.dtype.kind in "OUT"
    keep = np.arange(len(values)) if is_labels else np.flatnonzero(np.isfinite(values))
    population = len(keep)
    if population > sample_size:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        keep = np.sort(rng.choice(keep, sample_size, replace=False, shuffle=False))
    drawn = values[keep].astype(object if is_labels else np.float64)
    return Distribution(drawn, unit[keep].astype(np.int64), population)


def _as_table(name: str, found: Distribution) -> pa.Table:
    n = len(found)
    empty = pa.nulls(n, pa.string() if not found.is_labels else pa.float64())
    values = pa.array(found.values, pa.string() if found.is_labels else pa.float64())
    number, label = (empty, values) if found.is_labels else (values, empty)
    return pa.table([pa.array([name] * n, pa.string()), number, label, pa.array(found.unit)], schema=_SCHEMA)


def _from_table(rows: pa.Table, labels: bool, population: int) -> Distribution:
    values = rows.column("label" if labels else "number").to_numpy()
    return Distribution(values.astype(object if labels else np.float64), rows.column("unit").to_numpy(), population)

"""Approximate nearest-neighbour indexes (faiss), tuned on the actual vectors and queries to a recall target.

Recall depends on the data far more than on the algorithm, so nothing is assumed: every candidate is measured against
the exact oracle on sampled queries, and the chosen one is measured again on queries that the tuning did not see.

Vectors of unequal norm (maximum inner product search) can be given one more dimension that makes the norms equal and
leaves inner products as they are: Bachrach et al., "Speeding up the Xbox recommender system using a Euclidean
transformation for inner-product spaces", RecSys 2014. Whether that helps a cluster index depends on the data (40,000 ×
64, nprobe 16: recall@10 of factor-like vectors rose from .67 to .93, of clusters with log-normal norms fell from .97 to
.94), so both are candidates. Graphs always got worse by it (efSearch 64: .96 to .66, .98 to .20), so they do without:
Morozov and Babenko, "Non-metric similarity graphs for maximum inner product search", NeurIPS 2018.
"""

import dataclasses
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
from jaxtyping import Float32, Int64, Shaped

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.errors import ArtifactError, ModelError, SettingError
from recsys_pipeline.core.files import read_json
from recsys_pipeline.core.neighbors import tuning
from recsys_pipeline.core.neighbors.hubness import csls_penalty, csls_queries, csls_vectors, k_occurrence_skewness
from recsys_pipeline.core.neighbors.tuning import Candidate
from recsys_pipeline.core.neighbors.vectors import VectorTable

_INDEX, _IDS, _REPORT, _SPEED = "index.faiss", "ids.json", "index.json", "speed.json"


@dataclass(frozen=True)
class IndexConfig:
    """How an index is chosen and what it must reach."""

    family: Literal["auto", "flat", "ivf", "ivf_equal_norms", "hnsw"] = setting(
        "auto", "auto measures all and picks one; the others pin theirs."
    )
    recall_target: float = setting(0.95, "Share of the true nearest neighbours that must be found.", gt=0, le=1)
    k: int = setting(10, "Neighbours per query when recall is measured.", ge=1)
    n_queries: int = setting(2000, "Queries sampled: half tune the index, half measure it.", ge=2)
    exact_below: int = setting(5000, "Below this many vectors auto keeps the exact index: it is fast enough.", ge=0)
    repeats: int = setting(3, "Timed passes per candidate; the fastest counts.", ge=1)
    hubness: Literal["none", "csls"] = setting(
        "none", "csls takes down vectors that are near to every query (Conneau et al. 2018); none leaves them."
    )

    __post_init__ = check_settings


@dataclass(frozen=True)
class IndexReport:
    """What was measured and what was chosen; stored beside the index."""

    chosen: Candidate
    candidates: tuple[Candidate, ...]
    recall: float
    """Mean recall of the chosen setting on queries that the tuning did not see."""
    queries_per_second: float
    """Speed of the chosen setting on those queries: in batches, one thread."""
    recall_target: float
    k: int
    n_vectors: int
    dim: int
    n_queries: int
    """Held-out queries behind `recall`."""
    size_bytes: int
    correction: str = "none"
    """What was done about hubs."""
    hubness: float = math.nan
    """Skewness of how often each vector is a true neighbour of the held-out queries; 0 is even."""
    hubness_uncorrected: float = math.nan
    """The same for plain inner products."""

    @property
    def meets_target(self) -> bool:
        """Whether held-out recall reaches the target: what the blocking check asks."""
        return self.recall >= self.recall_target


class SearchIndex:
    """A built index with the ids of its vectors: `search` answers with ids and inner products.

    With `hubness="csls"` a score is the inner product less half of what the vector scores with the queries nearest to
    it, which within one query orders as CSLS does.
    """

    def __init__(self, index: Any, ids: list[str], report: IndexReport) -> None:
        self._index = index
        self._ids = np.asarray([*ids, ""], dtype=object)  # row -1, nothing found, reads the last
        self.report = report

    def search(
        self, queries: Float32[np.ndarray, "queries dim"], k: int
    ) -> tuple[Shaped[np.ndarray, "queries found"], Float32[np.ndarray, "queries found"]]:
        """Ids (str) and inner products of the k nearest vectors found, best first; equal scores by lower row.

        That holds at the cut too, as far as the index finds what is equal (an exact one does). Where
        fewer than k are found the rest is id "" with score −inf; k is cut to the number of vectors. Raises
        `SettingError` for k < 1, `ModelError` where the queries are of another dimension or not finite.
        """
        rows, scores = self.search_rows(queries, k)
        return self._ids[rows], scores

    def search_rows(
        self, queries: Float32[np.ndarray, "queries dim"], k: int
    ) -> tuple[Int64[np.ndarray, "queries found"], Float32[np.ndarray, "queries found"]]:
        """As `search`, with row numbers of the vector table; −1 where fewer than k are found."""
        return tuning.search(self._index, self._asked(queries, k), min(k, self.report.n_vectors))

    def candidates(
        self, queries: Float32[np.ndarray, "queries dim"], k: int
    ) -> tuple[Int64[np.ndarray, "queries found"], Float32[np.ndarray, "queries found"]]:
        """As `search_rows`, but any rows of a tie at the cut: for what scores and orders anew by its own rule."""
        return tuning.found_by_faiss(self._index, self._asked(queries, k), min(k, self.report.n_vectors))

    def _asked(self, queries: Float32[np.ndarray, "queries dim"], k: int) -> Float32[np.ndarray, "queries wide"]:
        """The checked queries, as the index takes them."""
        if k < 1:
            raise SettingError(f"k = {k}: ask for at least one neighbour")
        if queries.shape[1] != self.report.dim:
            raise ModelError(f"queries have {queries.shape[1]} dimensions, the index {self.report.dim}: rebuild it")
        if not np.isfinite(queries).all():
            raise ModelError("a query is not finite: check the model that made it")
        return csls_queries(queries) if self.report.correction == "csls" else queries

    def without_speeds(self) -> "SearchIndex":
        """The same index with its measured speeds as NaN, so that equal indexes are stored in equal bytes."""

        def unmeasured(row: Any) -> Any:
            return dataclasses.replace(row, queries_per_second=math.nan)

        candidates = tuple(unmeasured(row) for row in self.report.candidates)
        report = dataclasses.replace(unmeasured(self.report), chosen=unmeasured(self.report.chosen))
        return SearchIndex(self._index, self._ids[:-1].tolist(), dataclasses.replace(report, candidates=candidates))

    def save(self, directory: Path) -> None:
        """Write `index.faiss`, `ids.json`, `index.json` (the choice and what was found) and `speed.json`.

        Only `speed.json` holds timings: the other files are the same to the byte for the same input and seed.
        """
        directory.mkdir(parents=True, exist_ok=True)
        document = dataclasses.asdict(self.report)
        rows = [document, document["chosen"], *document["candidates"]]
        speeds = [row.pop("queries_per_second") for row in rows]
        faiss.write_index(self._index, str(directory / _INDEX))
        for name, content in ((_IDS, self._ids[:-1].tolist()), (_REPORT, document), (_SPEED, speeds)):
            (directory / name).write_text(json.dumps(content, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> "SearchIndex":
        """Read back what `save` wrote; raises `ArtifactError` where a file is missing or broken."""
        document, ids, speeds = (read_json(directory / name) for name in (_REPORT, _IDS, _SPEED))
        try:
            index = faiss.read_index(str(directory / _INDEX))
            rows = [document, document["chosen"], *document["candidates"]]
            for row, speed in zip(rows, speeds, strict=True):
                row["queries_per_second"] = speed
            document["chosen"] = Candidate(**document["chosen"])
            document["candidates"] = tuple(Candidate(**row) for row in document["candidates"])
            report = IndexReport(**document)
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"no readable index in {directory}: {error}; materialize it again") from error
        if index.ntotal != len(ids):
            raise ArtifactError(f"{directory} holds {index.ntotal} vectors and {len(ids)} ids; materialize it again")
        return cls(index, ids, report)


def build_index(
    table: VectorTable,
    queries: Float32[np.ndarray, "queries dim"],
    config: IndexConfig,
    seed: int,
    clock: tuning.Clock = time.perf_counter,
) -> SearchIndex:
    """Build the cheapest index that finds `recall_target` of the true neighbours of these queries.

    Cost is counted in distances, not seconds, so the same vectors, queries, config and seed give the same index; the
    measured speeds in `report` are for reading. Raises `ModelError` where there is no vector or there are fewer than
    two queries.
    """
    if not len(table) or len(queries) < 2:
        raise ModelError(f"{len(table)} vectors and {len(queries)} queries: an index needs 1 and 2 or more")
    tuning_queries, held_out = _sample(queries, config.n_queries, seed)
    vectors, plain = table.vectors, None
    if config.hubness == "csls":
        plain = tuning.Probe(vectors, held_out, config.k)
        # The penalties come from the tuning half, so that the held-out half tells what they are worth.
        vectors = csls_vectors(vectors, csls_penalty(tuning_queries @ vectors.T))
        tuning_queries, held_out = csls_queries(tuning_queries), csls_queries(held_out)
    probe = tuning.Probe(vectors, tuning_queries, config.k, clock)
    with tuning.one_thread():
        indexes = {family: tuning.build(family, vectors, seed) for family in _families(config, vectors)}
        candidates = [
            row for family, index in indexes.items() for row in tuning.sweep(index, family, probe, config.repeats)
        ]
        chosen = tuning.choose(candidates, config.recall_target)
        index = indexes[chosen.family]
        tuning.set_parameter(index, chosen.parameter, chosen.value)
        check = tuning.Probe(vectors, held_out, config.k, clock)
        report = IndexReport(
            chosen=chosen,
            candidates=tuple(candidates),
            recall=float(check.recall(index).mean()),
            queries_per_second=check.queries_per_second(index, config.repeats),
            recall_target=config.recall_target,
            k=check.k,
            n_vectors=len(table),
            dim=table.dim,
            n_queries=len(held_out),
            size_bytes=len(faiss.serialize_index(index)),
            correction=config.hubness,
            hubness=_hubness(check, len(vectors)),
            hubness_uncorrected=_hubness(plain or check, len(vectors)),
        )
    return SearchIndex(index, table.ids, report)


def _hubness(probe: tuning.Probe, n_vectors: int) -> float:
    return k_occurrence_skewness(probe.neighbours, n_vectors)


def _sample(queries: np.ndarray, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = np.random.default_rng(seed).permutation(len(queries))[:n]
    half = (len(drawn) + 1) // 2
    return np.ascontiguousarray(queries[drawn[:half]]), np.ascontiguousarray(queries[drawn[half:]])


def _families(config: IndexConfig, vectors: np.ndarray) -> tuple[str, ...]:
    if config.family != "auto":
        return (config.family,)
    if len(vectors) < config.exact_below:
        return ("flat",)
    norms = np.linalg.norm(vectors, axis=1)
    unequal = norms.min() < 0.999 * norms.max()
    return tuple(family for family in tuning.FAMILIES if unequal or family != "ivf_equal_norms")

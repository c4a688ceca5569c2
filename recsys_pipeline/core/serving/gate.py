"""The gate: facts about a candidate, and the champion it would replace, judged against limits, one check at a time.

A release passes where every check holds. A figure that is undefined holds nothing: NaN fails. What there is no champion
to compare with is judged by absolute floors alone, so that a first release can pass.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.files import read_json
from recsys_pipeline.core.serving.gate_checks import CHECKS, lists_are_fast
from recsys_pipeline.core.serving.gate_limits import GateLimits
from recsys_pipeline.core.serving.gate_record import Check, Gap, GateFigures, Likeness, Scale, Shift

DECISION, LATENCY = "decision.json", "latency.json"


@dataclass(frozen=True)
class Decision:
    """Whether a release may be served, why, and the figures behind it."""

    day: str
    champion: str
    """Day of the release that it was compared with; empty for a first one."""
    checks: tuple[Check, ...]
    figures: GateFigures
    warnings: tuple[str, ...] = field(default=())

    @property
    def promoted(self) -> bool:
        """Whether every check holds."""
        return all(check.passed for check in self.checks)

    @property
    def why_not(self) -> str:
        """The words of the checks that failed; empty where all hold."""
        return "; ".join(check.words for check in self.checks if not check.passed)

    def check(self, name: str) -> Check:
        """One check by name."""
        return next(check for check in self.checks if check.name == name)

    def save(self, directory: Path) -> None:
        """Write `decision.json`, and beside it `latency.json` with what was measured.

        The first is the same for the same inputs, unless lists were too slow: that is part of it, so that a new
        measurement is another decision.
        """
        document = dataclasses.asdict(self)
        slow = [row for row in document["checks"] if row["name"] == lists_are_fast.__name__]
        document["too_slow"] = [row for row in slow if not row["passed"]]
        document["checks"] = [row for row in document["checks"] if row not in slow]
        latency = {"p99_ms": document["figures"].pop("latency_p99_ms"), "checks": slow}
        for name, content in ((DECISION, document), (LATENCY, latency)):
            (directory / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> "Decision":
        """Read back what `save` wrote; raises `ArtifactError` where a file is missing or of another version.

        Of a decision by an earlier gate, the checks are those that it made, and figures that are no longer taken are
        left out: its release may be the champion that today's is compared with.
        """
        document, latency = read_json(directory / DECISION), read_json(directory / LATENCY)
        try:
            found = _figures({**document.pop("figures"), "latency_p99_ms": latency["p99_ms"]})
            rows = {row["name"]: Check(**row) for row in [*document.pop("checks"), *latency["checks"]]}
            order = [check.__name__ for check in CHECKS if check.__name__ in rows]
            checks = tuple(rows[name] for name in (*order, *(name for name in rows if name not in order)))
            return cls(document["day"], document["champion"], checks, found, tuple(document["warnings"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"{directory / DECISION} is of another version ({error}): decide again") from error


def _figures(row: Mapping[str, Any]) -> GateFigures:
    known = {field.name: row[field.name] for field in dataclasses.fields(GateFigures) if field.name in row}
    gaps = {name: Gap(**row[name]) for name in ("versus_popularity", "versus_champion", "versus_best") if row.get(name)}
    likeness = _likeness(row["likeness"]) if row.get("likeness") else None
    return GateFigures(**{**known, **gaps, "likeness": likeness, "drifted": tuple(row["drifted"])})


def _likeness(row: Mapping[str, Any]) -> Likeness:
    shifts, scales = tuple(Shift(**one) for one in row["shifts"]), tuple(Scale(**one) for one in row["scales"])
    parts = {"shifts": shifts, "scales": scales, "nearer": Gap(**row["nearer"])}
    return Likeness(**{**row, **parts, "other_settings": tuple(row["other_settings"])})


def judge(candidate: GateFigures, champion: GateFigures | None, limits: GateLimits) -> Decision:
    """Hold a candidate's figures against the limits and the champion's; the figures of both, and every check, in words.

    `champion` are the figures of the decision by which it was promoted. The comparison on the same test rows is part of
    the candidate's figures.
    """
    checks = tuple(check(candidate, champion, limits) for check in CHECKS)
    warnings = [f"{feature} of the day's data drifted" for feature in candidate.drifted]
    return Decision(candidate.day, champion.day if champion else "", checks, candidate, tuple(warnings))

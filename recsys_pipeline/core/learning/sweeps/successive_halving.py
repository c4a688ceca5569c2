"""Early stopping of bad trials: `early_terminate` of W&B's sweep schema, acted on offline.

At each rung (a number of epochs) a trial goes on only if its value is among the best 1/eta of all values that trials
of the sweep had there so far: asynchronous successive halving (Li et al., "A System for Massively Parallel
Hyperparameter Tuning", MLSys 2020), which is what W&B calls hyperband. The rungs follow W&B's rule
(https://docs.wandb.ai/guides/sweeps/sweep-config-keys#early_terminate): `min_iter · eta^i`, or from the end
`max_iter / eta^i` for i = 1 … s.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.learning.sweeps.yaml_fields import known, mapping, whole

KEYS = frozenset({"type", "min_iter", "max_iter", "s", "eta", "strict"})


@dataclass(frozen=True)
class EarlyTermination:
    """When trials are compared, and which share of them goes on."""

    eta: float = 3.0
    min_iter: int | None = None
    max_iter: int | None = None
    s: int | None = None

    def rungs(self, epochs: int) -> list[int]:
        """The numbers of epochs, below `epochs`, after which a trial of so many epochs is compared with others."""
        if self.min_iter is not None:
            found, rung = [], float(self.min_iter)
            while rung < epochs:
                found.append(round(rung))
                rung *= self.eta
        else:
            found = [int(self.max_iter / self.eta**i) for i in range(1, (self.s or 0) + 1)] if self.max_iter else []
        return sorted({rung for rung in found if 1 <= rung < epochs})


@dataclass
class Halving:
    """The values that trials had at each rung, and so what a trial must reach there."""

    rule: EarlyTermination
    minimise: bool
    values: dict[int, list[float]] = field(default_factory=dict)

    def record(self, rung: int, value: float) -> None:
        """A value that a trial had at a rung."""
        if math.isfinite(value):
            self.values.setdefault(rung, []).append(value)

    def goes_on(self, rung: int, value: float) -> bool:
        """Whether a recorded value is among the best 1/eta (at least one) of all recorded at its rung."""
        if not math.isfinite(value):
            return False
        best_first = sorted(self.values[rung], reverse=not self.minimise)
        worst = best_first[math.ceil(len(best_first) / self.rule.eta) - 1]
        return value <= worst if self.minimise else value >= worst


def parse_early_termination(body: Any, path: str) -> EarlyTermination | None:
    """The rule of a sweep's `early_terminate`; None where there is none.

    Raises `SettingError` with the path of the bad field.
    """
    if body is None:
        return None
    known(mapping(body, path), KEYS, path)
    if body.get("type") != "hyperband":
        raise SettingError(f"{path}.type must be hyperband, got {body.get('type')!r}")
    counts = {key: whole(body[key], f"{path}.{key}") for key in ("min_iter", "max_iter", "s") if key in body}
    if ("min_iter" in counts) == ("max_iter" in counts) or ("s" in counts) != ("max_iter" in counts):
        raise SettingError(f"{path} needs either min_iter, or max_iter and s")
    eta = body.get("eta", 3)
    if isinstance(eta, bool) or not isinstance(eta, int | float) or not (1 < eta < math.inf):
        raise SettingError(f"{path}.eta must be a number above 1, got {eta!r}")
    if not isinstance(body.get("strict", False), bool):
        raise SettingError(f"{path}.strict must be true or false, got {body['strict']!r}")
    return EarlyTermination(float(eta), **counts)

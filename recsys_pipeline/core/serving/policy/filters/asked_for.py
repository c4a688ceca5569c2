"""What a request asks for: its predicates."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from recsys_pipeline.core.configs import check_settings
from recsys_pipeline.core.serving.policy.asked import Asked
from recsys_pipeline.core.serving.policy.parts import part


@part("asked_for")
@dataclass(frozen=True)
class AskedFor:
    """Keeps what satisfies every predicate of the request."""

    __post_init__ = check_settings

    def keeps(self, asked: Asked, rows: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """By row."""
        return np.ones(len(rows), bool) if asked.allowed is None else asked.allowed[rows]

"""How the learning rate goes from its peak to the end: the share of the peak at each step."""

import math
from collections.abc import Callable

Schedule = Callable[[int, int], float]
"""`schedule(step, n_steps)`: the share of the peak learning rate, in [0, 1], that step `step` of `n_steps` takes."""


def constant(step: int, n_steps: int) -> float:
    """The peak all along."""
    del step, n_steps
    return 1.0


def cosine(step: int, n_steps: int) -> float:
    """Half a cosine from the peak to zero (Loshchilov & Hutter, "SGDR", ICLR 2017, without restarts)."""
    return (1 + math.cos(math.pi * step / n_steps)) / 2


def warmed_up(share: float, then: Schedule = cosine) -> Schedule:
    """Grow linearly to the peak over the first `share` of all steps, and follow another schedule over the rest."""

    def schedule(step: int, n_steps: int) -> float:
        warm = min(math.ceil(share * n_steps), n_steps)
        return (step + 1) / warm if step < warm else then(step - warm, n_steps - warm)

    return schedule

"""How often people are told how far something long is."""

import time
from collections.abc import Callable

from recsys_pipeline.core.progress import Progress

EVERY_S = 5.0


def paced(say: Callable[[str], object], every_s: float = EVERY_S) -> Progress:
    """A progress callback that says at most a line in `every_s` seconds, and none before these have passed."""
    last = time.monotonic()

    def tell(label: str, metrics: dict[str, float]) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= every_s:
            last = now
            say(f"  {label}: {', '.join(f'{name} {value:,.0f}' for name, value in metrics.items())}")

    return tell

"""What takes long without a word is told, ever more rarely; what talks itself, or is quick, is not."""

import time

from recsys_pipeline.adapters.store.waiting import told_while_silent


def said(first_s: float, lasts_s: float, talks_every_s: float = 0) -> list[str]:
    """The lines while a body runs for so long."""
    lines: list[str] = []
    with told_while_silent("models/als", lines.append, first_s) as silence:
        end = time.monotonic() + lasts_s
        while time.monotonic() < end:
            time.sleep(talks_every_s or lasts_s)
            silence.broken()
    return lines


def test_a_silent_body_is_told_ever_more_rarely() -> None:
    lines = said(0.05, 1.0)
    assert 2 <= len(lines) <= 4, "after .05, .15, .35 and .75 s"
    assert lines[0] == "models/als: at work for 0 s"


def test_a_quick_body_or_one_that_talks_is_left_alone() -> None:
    assert said(1.0, 0.01) == []
    assert said(0.5, 0.6, talks_every_s=0.05) == []

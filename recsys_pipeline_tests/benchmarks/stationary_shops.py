"""What the gate says in shops where nothing changes: no release should be rejected, and no planted damage should pass.

    python -m recsys_pipeline_tests.benchmarks.stationary_shops [--days 30] [--shops corner tiny middle] [--seed 0]

Three shops of different sizes live thirty days from their very first one, with daily continued fits and a full one on
Sundays as the pipeline does (`recsys_pipeline_tests/shops.py`); in the middle of the time a sweep's winner of other
settings comes into use. On each fifth day every kind of damage is planted in that day's release, and judged against the
same champion. Prints a table and one JSON line; exits with 1 where a release was rejected or a damage passed.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from recsys_pipeline.core.dataset.simulator import SIZES, Simulator
from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.models.als import AlsConfig
from recsys_pipeline.core.serving.gate import Decision
from recsys_pipeline_tests.damages import DAMAGES, OF_EQUAL_SETTINGS, Damage
from recsys_pipeline_tests.shops import Candidate, CornerShop, Life, Shop, days_of

IN_USE = AlsConfig()
WINNER = AlsConfig(embedding_size=8, reg=0.01)
"""Better than the defaults in all three shops: NDCG@10 .525 against .502, .554 against .461, .484 against .340."""
SETTLED_DAY = 3
"""The first day on which damage is planted: the day before it there was a champion of two days."""
EVERY = 5


def shop_of(name: str, seed: int) -> Shop:
    """150 users and 60 items; the simulator's smallest, 100 and 120; 600 and 300."""
    if name == "corner":
        return CornerShop(seed=seed)
    middle = dataclasses.replace(
        SIZES["demo"], name="middle", n_users=600, n_items=300, n_scenes=10, users_per_day=3, items_per_day=3,
        scenes_per_day=1, requests_per_day=1500,
    )  # fmt: skip
    return Simulator({"tiny": SIZES["tiny"], "middle": middle}[name], seed)


@dataclass
class Outcome:
    """What became of one shop."""

    shop: str
    days: int = 0
    rejected: list[str] = field(default_factory=list)
    planted: Counter[str] = field(default_factory=Counter)
    passed: list[str] = field(default_factory=list)
    """Damage that was let through."""
    winner: str = ""
    """What was said of the sweep's winner."""
    largest: dict[str, float] = field(default_factory=dict)
    """Over ordinary days of equal settings."""
    seconds: float = 0.0


def live(name: str, n_days: int, seed: int) -> Outcome:
    """All days of one shop."""
    started, found = time.perf_counter(), Outcome(name)
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder))
        for number, day in enumerate(days_of(shop_of(name, seed), n_days, Path(folder)), 1):
            candidate = life.fitted(day, IN_USE if number < n_days // 2 else WINNER)
            other = life.champion is not None and candidate.model.config != life.champion.of.model.config
            if number >= SETTLED_DAY and (other or number % EVERY == 0):
                for damage, plant in DAMAGES.items():
                    if other and damage in OF_EQUAL_SETTINGS:
                        continue
                    found.planted[damage] += 1
                    found.passed += [f"{day.day}: {damage}"] * (not is_stopped(life, candidate, plant))
            decision = life.lived(candidate)
            found.days += 1
            found.rejected += [f"{day.day}: {decision.why_not}"] * (not decision.promoted)
            _note(found, decision, other)
    found.seconds = round(time.perf_counter() - started, 1)
    return found


def is_stopped(life: Life, candidate: Candidate, plant: Damage) -> bool:
    """Whether the damage is rejected, or no list can be made of it at all."""
    try:
        return not life.judged(candidate, plant(candidate.day, candidate.model))[0].promoted
    except ModelError as error:
        return "is NaN" in str(error)


def _note(found: Outcome, decision: Decision, other: bool) -> None:
    likeness, gap = decision.figures.likeness, decision.figures.versus_champion
    if likeness is None or gap is None:
        return
    if other:
        said = "promoted" if decision.promoted else "rejected"
        found.winner = f"{decision.day} {said}, NDCG@10 {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"
        return
    bound = decision.check("scale_is_the_settings").bound
    figures = {f"scale of {row.feature}": max(row.now / row.then, row.then / row.now) for row in likeness.scales}
    figures |= {"scale over its bound": max(figures.values()) / bound}
    figures |= {f"PSI of {row.feature}": row.psi for row in likeness.shifts}
    figures |= {"least overlap, as 1 - overlap": 1 - likeness.overlap}
    for name, value in figures.items():
        found.largest[name] = round(max(found.largest.get(name, 0.0), value), 3)


def table(outcomes: list[Outcome]) -> Iterator[str]:
    """A line per shop, and what went wrong below it."""
    yield "shop     days rejected planted let through seconds  the sweep's winner"
    for one in outcomes:
        planted = sum(one.planted.values())
        yield (
            f"{one.shop:<8} {one.days:>4} {len(one.rejected):>8} {planted:>7} {len(one.passed):>11} "
            f"{one.seconds:>7.1f}  {one.winner}"
        )
        yield from (f"    rejected {line}" for line in one.rejected)
        yield from (f"    let through {line}" for line in one.passed)


def main() -> int:
    """Live, print, and say whether the gate was right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument(
        "--shops", nargs="+", choices=("corner", "tiny", "middle"), default=["corner", "tiny", "middle"]
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="drift of .* is not defined")
    outcomes = [live(name, options.days, options.seed) for name in options.shops]
    print("\n".join(table(outcomes)))
    print(json.dumps({"seed": options.seed, "shops": [vars(one) for one in outcomes]}))
    return 1 if any(one.rejected or one.passed for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())

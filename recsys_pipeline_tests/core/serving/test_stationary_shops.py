"""The gate over the days of a small shop in which nothing changes: it rejects none of them, and stops planted damage.

Thirty days of three shops, with the same damage: `python -m recsys_pipeline_tests.benchmarks.stationary_shops`.
"""

import dataclasses
import math

import pytest

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.models.als import AlsConfig
from recsys_pipeline.core.serving.gate import Decision
from recsys_pipeline_tests.damages import DAMAGES, OF_EQUAL_SETTINGS, scores_doubled
from recsys_pipeline_tests.shops import Candidate, CornerShop, Day, Life, days_of, parts_of

DAYS, NAN = 6, "not a number"
IN_USE, WINNER = AlsConfig(), AlsConfig(embedding_size=8, gravity=1.0)
"""The second scores seventeen times as high: it is another objective."""


@dataclasses.dataclass(frozen=True)
class Lived:
    """A shop on its last day, before that day's release, with the decisions on those before."""

    life: Life
    decisions: list[Decision]
    last: Day

    def candidate(self, config: AlsConfig) -> Candidate:
        return self.life.fitted(self.last, config)

    def judged(self, candidate: Candidate) -> Decision:
        return self.life.judged(candidate, parts_of(candidate.day, candidate.model))[0]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    root = tmp_path_factory.mktemp("shop")
    life = Life(root)
    *before, last = days_of(CornerShop(events_per_user=3.0), DAYS, root)
    return Lived(life, [life.lived(life.fitted(day, IN_USE)) for day in before], last)


def test_no_ordinary_day_is_rejected(lived: Lived) -> None:
    """From the shop's very first day on, with a full fit on the fourth, a Sunday."""
    decisions = [*lived.decisions, lived.judged(lived.candidate(IN_USE))]
    assert [decision.why_not for decision in decisions] == [""] * DAYS
    assert max(len(decision.champion) for decision in decisions) > 0


def test_a_better_model_of_other_settings_is_promoted_though_its_scale_is_another(lived: Lived) -> None:
    made = lived.judged(lived.candidate(WINNER))
    gap, likeness = made.figures.versus_champion, made.figures.likeness
    assert gap is not None
    assert gap.low > 0, "else this test shows nothing"
    assert likeness is not None
    assert likeness.other_settings == ("embedding_size", "gravity")
    score = next(row for row in likeness.scales if row.feature == "score")
    assert score.now / score.then > 5, "else this test shows nothing"
    assert made.promoted, made.why_not


SEEN = [name for name in DAMAGES if name not in OF_EQUAL_SETTINGS and name != NAN]


@pytest.mark.parametrize(
    ("config", "damage"),
    [(IN_USE, name) for name in DAMAGES if name != NAN] + [(WINNER, name) for name in SEEN],
    ids=lambda part: part if isinstance(part, str) else "equal settings" if part == IN_USE else "other settings",
)
def test_planted_damage_is_stopped(lived: Lived, config: AlsConfig, damage: str) -> None:
    candidate = lived.candidate(config)
    made, _ = lived.life.judged(candidate, DAMAGES[damage](candidate.day, candidate.model))
    assert not made.promoted


def test_no_list_can_be_made_of_what_is_not_a_number(lived: Lived) -> None:
    candidate = lived.candidate(IN_USE)
    with pytest.raises(ModelError, match="is NaN: check the model that made it"):
        lived.life.judged(candidate, DAMAGES[NAN](candidate.day, candidate.model))


def test_doubled_scores_are_found_by_their_scale_alone(lived: Lived) -> None:
    """A full fit beside a full fit, or a continued one: the scale of equal settings is the same to a few percent."""
    candidate = lived.candidate(IN_USE)
    made, _ = lived.life.judged(candidate, scores_doubled(candidate.day, candidate.model))
    sound = lived.judged(candidate).check("scale_is_the_settings")
    found = made.check("scale_is_the_settings")
    assert not found.passed
    assert math.isclose(found.value, 2.0, rel_tol=0.25)
    assert sound.value < 1.3 < sound.bound < found.value
    assert made.check("lists_near_the_champions").passed, "every list is as it was"

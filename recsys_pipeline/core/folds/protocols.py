"""Named protocols that cut one file of interactions into what is learned, what is known and what is to be found.

A protocol here makes one cut. Protocols that evaluate again and again as time goes on (test-then-train, delayed
evaluation) make a curve, not one cut, and are none of these.
"""

from collections.abc import Callable
from dataclasses import dataclass

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.folds import users_cut_in_a_tie
from recsys_pipeline.core.folds.leave_last_out import leave_last_out
from recsys_pipeline.core.folds.prequential import prequential
from recsys_pipeline.core.folds.strong_generalisation import strong_generalisation
from recsys_pipeline.core.ratings import Ratings


@dataclass(frozen=True)
class EvaluationSplit:
    """What a model is fitted on, what is known of the tested users, and what is to be found."""

    train: Ratings
    known: Ratings
    """Train itself, or the histories of users who are not in train and must be folded in."""
    test: Ratings

    @property
    def folds_in(self) -> bool:
        """Whether the tested users are new to the model."""
        return self.known is not self.train

    @property
    def n_users_cut_in_a_tie(self) -> int:
        """Tested users of whom a draw among rows of one instant decided what is tested."""
        return users_cut_in_a_tie(self.known, self.test)


@dataclass(frozen=True)
class Protocol:
    """One way to cut: its function, what it says of itself, and what it needs."""

    cut: Callable[[Ratings, float, int, int], EvaluationSplit]
    """`f(ratings, share, seed, tie_seed)`."""
    sentence: str
    """For reports, with a place for `share`."""
    test_share: float | None
    """The default; None where the protocol has no choice."""
    needs_order: bool
    """Whether it means nothing without knowing which rows came last."""


def _leave_last_out(ratings: Ratings, _share: float, _seed: int, tie_seed: int) -> EvaluationSplit:
    split = leave_last_out(ratings, tie_seed)
    train = ratings.take(split.train)
    return EvaluationSplit(train, train, ratings.take(split.test))


def _prequential(ratings: Ratings, share: float, seed: int, tie_seed: int) -> EvaluationSplit:
    split = prequential(ratings, share, seed, tie_seed=tie_seed)
    train = ratings.take(split.train)
    return EvaluationSplit(train, train, ratings.take(split.test))


def _strong_generalisation(ratings: Ratings, share: float, seed: int, tie_seed: int) -> EvaluationSplit:
    users = strong_generalisation(ratings, share, seed, tie_seed=tie_seed)
    return EvaluationSplit(*(ratings.take(rows) for rows in (users.train, users.history, users.test)))


PROTOCOLS = {
    "leave_last_out": Protocol(_leave_last_out, "each user's last row is tested", None, needs_order=True),
    "prequential": Protocol(
        _prequential, "{share:.0%} of all rows are tested, each user's latest, in proportion to activity", 0.1, True
    ),
    "strong_generalisation": Protocol(
        _strong_generalisation,
        "{share:.0%} of the users are held out whole, folded in by a history, and tested on a fifth of their rows",
        0.1,
        needs_order=False,
    ),
}
"""Every protocol by its name."""


def cut(
    ratings: Ratings, protocol: str, test_share: float | None, seed: int, knows_order: bool, tie_seed: int = 0
) -> tuple[EvaluationSplit, str]:
    """The cut of the named protocol, and the sentence that says what it is.

    Raises:
        SettingError: the protocol is unknown, or has no test share.
        DataError: the protocol needs times that the data does not have, or leaves nothing to test.
    """
    if protocol not in PROTOCOLS:
        raise SettingError(f"protocol {protocol!r} is unknown: use {', '.join(PROTOCOLS)}")
    chosen = PROTOCOLS[protocol]
    if test_share is not None and chosen.test_share is None:
        raise SettingError(f"{protocol} has no test share ({chosen.sentence}): leave it out")
    if chosen.needs_order and not knows_order:
        raise DataError(
            f"{protocol} tests what came last, and the data has no times: give a timestamp column, a file in order of "
            "time (format sequences), or another protocol"
        )
    share = chosen.test_share or 0.0 if test_share is None else test_share
    split = chosen.cut(ratings, share, seed, tie_seed)
    if not len(split.test):
        raise DataError(f"{protocol} leaves nothing to test: no user has a row to spare")
    return split, chosen.sentence.format(share=share)

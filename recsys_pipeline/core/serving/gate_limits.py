"""Limits of the gate: one definition for the Launchpad form, the documents and the checks."""

from dataclasses import dataclass

from recsys_pipeline.core.types import check_settings, setting


@dataclass(frozen=True)
class GateLimits:
    """What a release must keep to. Defaults were set on ordinary days of the simulator (see docs/lambda.md)."""

    tolerance: float = setting(
        0.0, "Passes unless the whole interval of NDCG@10 minus the champion's lies below minus this.", ge=0.0, le=1.0
    )
    min_share_of_best: float = setting(
        0.7,
        "The interval of NDCG@10 must reach this share of the best that was promoted within `decay_days`: each of many "
        "small losses may be within chance, and all together are not. Other days have other test rows, hence the room.",
        ge=0.0,
        le=1.0,
    )
    decay_days: int = setting(28, "Days over which the best promoted release is remembered.", ge=1)
    min_lists_shown: float = setting(
        5.0,
        "Different items that the sampled lists show, in full lists, unless half of what they could show is less. "
        "Everyone's same list is 1; what is popular, less what each has seen, gave 3 to 4.",
        ge=1.0,
    )
    min_coverage_of_champion: float = setting(
        0.5, "Coverage must reach this share of the champion's, which halves only where lists collapse.", ge=0.0, le=1.0
    )
    max_list_psi: float = setting(
        2.0,
        "PSI between the champion's lists and vectors and the candidate's. Ordinary days gave up to .61, and a "
        "champion may be days old; two distributions that hardly overlap give more than 2.",
        gt=0.0,
    )
    min_recall: float = setting(
        0.95, "Share of the true nearest items that the index finds, on held-out users.", gt=0.0, le=1.0
    )
    max_norm_ratio: float = setting(
        100.0, "Largest norm of an item's vector over the median: above it one item tops every list.", gt=1.0
    )
    max_norm_change: float = setting(
        10.0, "Factor by which the median norm may differ from the champion's, up or down.", gt=1.0
    )
    max_latency_ms: float = setting(
        100.0,
        "99th percentile of one user's list, in milliseconds of the reference machine: lists are timed three times "
        "beside a fixed piece of work, the quickest counts, and what a slower or busier machine adds is taken off.",
        gt=0.0,
    )
    min_full_lists: float = setting(
        0.99,
        "Share of sampled users with a full list; users who have seen nearly everything have shorter ones.",
        ge=0.0,
    )
    max_empty_lists: float = setting(
        0.01,
        "Share of sampled users with an empty list, as the drift report allows: those who have seen it all.",
        ge=0.0,
    )
    max_user_share: float = setting(
        0.2, "Largest share that one user may have of the day's events, or of the test rows.", gt=0.0, le=1.0
    )
    dominant_rows: int = setting(
        100, "A user with fewer rows than this is never too much: on quiet days someone always has a large share.", ge=1
    )
    sampled_users: int = setting(1000, "Users whose lists are made, at most.", ge=1)
    timed_users: int = setting(200, "Users whose lists are timed one by one, at most.", ge=1)

    __post_init__ = check_settings

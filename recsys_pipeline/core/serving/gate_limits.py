"""Limits of the gate: one definition for the Launchpad form, the documents and the checks."""

from dataclasses import dataclass

from recsys_pipeline.core.configs import check_settings, setting


@dataclass(frozen=True)
class GateLimits:
    """What a release must keep to. Defaults were set on ordinary days of the simulator (see docs/lambda.md)."""

    tolerance: float = setting(
        0.0, "Passes unless the whole interval of NDCG@10 minus the champion's lies below minus this.", ge=0.0, le=1.0
    )
    max_p_value: float = setting(
        0.005,
        "A loss counts where its p-value is below this: the test is made each day, and at .05 shops in which nothing "
        "changes lost five days of 270.",
        gt=0.0,
        le=0.05,
    )
    min_share_of_best: float = setting(
        0.7,
        "On the same test rows, the interval of NDCG@10 must reach this share of what the best release has that was "
        "promoted within `decay_days`: each of many small losses may be within chance, and all together are not.",
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
    min_users_clear: int = setting(
        30,
        "A better model is clearly better from so many compared users on: its lists may differ from the champion's.",
        ge=1,
    )
    min_coverage_of_champion: float = setting(
        0.5,
        "Coverage must reach this share of the champion's, which halves only where lists collapse; a model that is "
        "clearly better may show less, down to `min_lists_shown`.",
        ge=0.0,
        le=1.0,
    )
    max_list_psi: float = setting(
        2.0,
        "PSI between the categories, and the prices, of the champion's lists and the candidate's. Ordinary days gave "
        "up to .42, other settings up to 1.24; two distributions that hardly overlap give more than 2.",
        gt=0.0,
    )
    min_overlap: float = setting(
        0.5,
        "Share of the champion's list that users keep; below it, `min_nearer` is asked for.",
        ge=0.0,
        le=1.0,
    )
    min_nearer: float = setting(
        0.1,
        "Where users keep less than `min_overlap`: by how much more they keep of their own list than of another "
        "user's, times the share in which the champion's lists of two users differ. Sound models of 18 other settings "
        "had .08 to .55, users with each other's vectors up to .05.",
        ge=0.0,
        le=1.0,
    )
    max_scale_change: float = setting(
        1.4,
        "Factor by which the median of scores, norms and distances of items may differ from those of a champion of "
        "equal settings, up or down, times the square root of how much larger one fit is than the other.",
        gt=1.0,
    )
    min_spread_of_champion: float = setting(
        0.1,
        "Of other settings, the median cosine distance of two items must reach this share of the champion's: below it "
        "vectors point in one direction.",
        ge=0.0,
        le=1.0,
    )
    min_on_sale_of_champion: float = setting(
        0.7, "Items on sale must reach this share of those on sale in the champion's release.", ge=0.0, le=1.0
    )
    min_recall: float = setting(
        0.95, "Share of the true nearest items that the index finds, on held-out users.", gt=0.0, le=1.0
    )
    max_unlike_judged: float = setting(
        0.01,
        "Relative difference of a served vector from the one that the judged model gives: of an item its own, of a "
        "user that of folding in what is known.",
        gt=0.0,
    )
    max_norm_ratio: float = setting(
        100.0, "Largest norm of an item's vector over the median: above it one item tops every list.", gt=1.0
    )
    max_latency_ms: float = setting(
        100.0,
        "99th percentile of one user's list, in milliseconds of the reference machine: lists are timed three times "
        "beside a fixed piece of work, the quickest counts, and what a slower or busier machine adds is taken off.",
        gt=0.0,
    )
    min_full_lists: float = setting(
        0.99,
        "Share of sampled users whose list is as long as what is on sale, less what the user knows, allows.",
        ge=0.0,
    )
    max_empty_lists: float = setting(
        0.01,
        "Share of sampled users with an empty list, as the drift report allows, or the champion's share if that is "
        "more; and what chance adds to it: those who have seen it all.",
        ge=0.0,
    )
    min_filled_of_champion: float = setting(
        0.8, "Places of lists that hold an item must reach this share of the champion's for the same users.", ge=0, le=1
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

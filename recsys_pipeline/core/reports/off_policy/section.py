"""The off-policy section of the page: what other policies would have earned, and how far to believe it."""

import math
from collections.abc import Sequence

from recsys_pipeline.core.reports.off_policy.estimators import ESTIMATORS, PolicyEstimate
from recsys_pipeline.core.reports.off_policy.plots import attention_by_position, estimates_against_truth
from recsys_pipeline.core.reports.off_policy.report import OffPolicyReport
from recsys_pipeline.core.reports.off_policy.study import LOGGED
from recsys_pipeline.core.reports.off_policy.tabular_bandit import paradox_estimates
from recsys_pipeline.core.reports.page.page import Block, Cell, Plot, Plots, Section, Table, Text

TRUSTED = "doubly_robust"
FEW_ROWS = 100
"""Below so many effective requests the normal interval is not to be relied on."""
MANY_ERRORS = 4.0
"""Standard errors by which the mean weight may differ from 1."""
PARADOX_ROWS, PARADOX_SEED = 5_000, 0
_UNKNOWN = "What other policies would have earned cannot be estimated: the source logs no propensities."
_TITLE, _ANCHOR = "What other policies would have earned", "off-policy"


def off_policy_section(report: OffPolicyReport) -> Section:
    """Estimates against the truth, the attention that positions get, and figures freed of popularity.

    Without logged propensities: a sentence that says so, and what can be said all the same.
    """
    popularity = _popularity_blocks(report)
    if not report.estimates:
        return Section(_ANCHOR, _TITLE, (Text(_no_propensities(report)), *popularity), _UNKNOWN)
    logged = next(row for row in report.estimates if row.policy == LOGGED)
    judged = [row for row in report.estimates if row.policy != LOGGED]
    blocks: list[Block] = [
        Text(_protocol(report)),
        *[Text(text) for text in doubts(judged)],
        policy_table(judged, logged),
    ]
    plots = [
        Plot(
            "Clicks per request by policy",
            estimates_against_truth(judged, logged.value),
            _spoken(judged),
            "Counting without weights credits a policy with whom it was shown to; the others correct for it.",
        ),
        Plot(
            "Attention by place in the list",
            attention_by_position(report.positions),
            "; ".join(f"place {row.position + 1}: {row.examination:.2f}" for row in report.positions) + ".",
            "Against the top, from impressions weighed by the inverse of their propensity; band: 95% interval.",
        ),
    ]
    blocks += [Plots(tuple(plots)), estimator_table(judged), *popularity]
    if any(not math.isnan(row.truth) for row in judged):
        blocks.append(_paradox_table())
    return Section(_ANCHOR, _TITLE, tuple(blocks), off_policy_headline(judged, logged))


def off_policy_headline(judged: Sequence[PolicyEstimate], logged: PolicyEstimate) -> str:
    """The best policy in plain words, against the log, and how the estimates did where the truth is known."""
    rows = sorted((row for row in _of(judged, TRUSTED) if not math.isnan(row.value)), key=lambda row: -row.value)
    if not rows:
        return "The log never did what the policies under study would do, so nothing can be said of them."
    best = rows[0]
    verdict = "clearly more than" if best.low > logged.high else "not clearly more than"
    sentences = [
        f"With {best.policy} in the first place, an estimated {_of_hundred(best.value)} of 100 requests would be "
        f"clicked there (95% interval {_of_hundred(best.low)}–{_of_hundred(best.high)}), {verdict} the "
        f"{_of_hundred(logged.value)} of the log."
    ]
    if best.effective_n < FEW_ROWS:
        sentences.append(f"That rests on only {best.effective_n:,.0f} effective requests of {best.n:,}.")
    known = [row for row in rows if not math.isnan(row.truth)]
    if known:
        missed = sum(not row.covers for row in _of(judged, "naive"))
        sentences.append(
            f"The truth is known here: {sum(row.covers for row in known)} of {len(known)} intervals hold it, "
            f"while counting clicks without weights misses it for {missed} of {len(known)} policies."
        )
    return " ".join(sentences)


def doubts(judged: Sequence[PolicyEstimate]) -> list[str]:
    """Sentences about policies whose figures should not be trusted: few effective rows, weights that do not add up."""
    found = [
        f"{row.policy}: only {row.effective_n:,.0f} effective requests of {row.n:,}; its interval may be too narrow."
        for row in _of(judged, TRUSTED)
        if row.effective_n < FEW_ROWS
    ]
    wrong = [row.policy for row in _of(judged, "ips") if abs(weight_errors(row)) > MANY_ERRORS]
    if wrong:
        found.append(
            f"The weights of {', '.join(wrong)} do not average to 1: the logged propensities are wrong, or the log "
            "never shows some items that the policy would. Do not trust these figures."
        )
    return found


def weight_errors(row: PolicyEstimate) -> float:
    """By how many standard errors the mean weight differs from 1, of an `ips` row; 0 where all weights are equal."""
    if not row.effective_n:
        return math.inf
    spread = row.mean_weight * math.sqrt(max(1 / row.effective_n - 1 / row.n, 0.0))
    return (row.mean_weight - 1) / spread if spread else 0.0


def policy_table(judged: Sequence[PolicyEstimate], logged: PolicyEstimate) -> Table:
    """One row per policy: the trusted estimate, the careless one, the truth where known, and the rows that count."""
    known = any(not math.isnan(row.truth) for row in judged)
    rows = [
        (
            Cell(LOGGED),
            Cell(_percent(logged.value), _range(logged)),
            Cell("–"),
            *([Cell("–")] * known),
            Cell(f"{logged.n:,}"),
        )
    ]
    for row in _of(judged, TRUSTED):
        counted = next(other for other in _of(judged, "naive") if other.policy == row.policy)
        truth = [Cell(_percent(row.truth), "inside" if row.covers else "outside", "good" if row.covers else "bad")]
        size = Cell(
            f"{row.effective_n:,.0f}",
            f"largest weight {row.max_weight:.3g}",
            "bad" if row.effective_n < FEW_ROWS else "",
        )
        rows.append(
            (
                Cell(row.policy),
                Cell(_percent(row.value), _range(row)),
                Cell(_percent(counted.value)),
                *truth * known,
                size,
            )
        )
    columns = ("policy", "doubly robust", "counted", *(("truth",) * known), "effective requests")
    caption = "Clicks per request in the first place, with 95% intervals (normal, clustered by user)."
    return Table(columns, tuple(rows), caption)


def estimator_table(judged: Sequence[PolicyEstimate]) -> Table:
    """Every policy by every estimator, folded."""
    policies = list(dict.fromkeys(row.policy for row in judged))
    rows = []
    for name in ESTIMATORS:
        found = {row.policy: row for row in _of(judged, name)}
        cells = [Cell(_percent(found[policy].value), _detail(found[policy])) for policy in policies]
        rows.append((Cell(_label(name)), *cells))
    clipped = {row.policy: row.share_clipped for row in _of(judged, "clipped_ips")}
    rows.append((Cell("share clipped"), *(Cell(f"{100 * clipped[policy]:.2f}%") for policy in policies)))
    caption = "Every estimator: value, 95% interval, effective requests (Kish)"
    return Table(("estimator", *policies), tuple(rows), caption, folded=True)


def _popularity_blocks(report: OffPolicyReport) -> list[Block]:
    law = report.power_law
    if not report.weighted:
        return [Text("There is no earlier popularity to weigh by, so figures freed of popularity are left out.")]
    figures = {(row.model, row.metric, row.k): row for row in report.weighted}
    k = min(row.k for row in report.weighted)
    models = dict.fromkeys(row.model for row in report.weighted)
    rows = tuple(
        (
            Cell(model),
            *(
                Cell(f"{row.value:.3f}", f"{row.low:.3f}–{row.high:.3f}")
                for row in (figures[model, metric, k] for metric in ("recall", "weighted recall", "weighted ndcg"))
            ),
            Cell(f"{figures[model, 'recall', k].n:,}"),
        )
        for model in models
    )
    text = (
        f"What was shown follows earlier popularity to the power {law.exponent:.2f} (standard error "
        f"{law.standard_error:.2f}, from {law.n:,} events). Weighed by the inverse of that propensity, finding what "
        "everybody finds counts little. Models learned from the days before; tested is what users newly took up."
    )
    columns = ("model", f"recall@{k}", f"weighted recall@{k}", f"weighted NDCG@{k}", "users")
    return [Text(text), Table(columns, rows, "Mean over users, with 95% bootstrap intervals.")]


def _paradox_table() -> Table:
    estimates = paradox_estimates(PARADOX_ROWS, PARADOX_SEED)
    by_name = {(row.policy, row.estimator): row for row in estimates}
    names = [name for name in ESTIMATORS if name != "direct"]
    rows = []
    for name in names:
        niche, popular = by_name["niche", name], by_name["popular", name]
        right = (niche.value > popular.value) == (niche.truth > popular.truth)
        cells = [Cell(_percent(row.value), _range(row)) for row in (niche, popular)]
        rows.append(
            (
                Cell(_label(name)),
                *cells,
                Cell("right" if right else "reversed", tone="good" if right else "bad"),
            )
        )
    truth = [Cell(_percent(by_name[title, "ips"].truth)) for title in ("niche", "popular")]
    caption = (
        "Why counting misleads (Simpson's paradox): regulars click on anything and were mostly shown the popular title"
    )
    return Table(
        ("estimator", "niche title", "popular title", "order"),
        (*rows, (Cell("truth"), *truth, Cell("–"))),
        caption,
        folded=True,
    )


def _protocol(report: OffPolicyReport) -> str:
    unlogged = f" {report.n_unlogged:,} impressions without a propensity are left out." if report.n_unlogged else ""
    return (
        f"From {report.n_requests:,} requests of the day, each logged with the probability of what was shown: what "
        f"would other ways to choose the first place among {report.n_actions:,} items have earned? The policies "
        f"learned only from the days before.{unlogged}"
    )


def _no_propensities(report: OffPolicyReport) -> str:
    seen = f"{report.n_unlogged:,} impressions, none" if report.n_unlogged else "no impressions"
    return (
        f"The day's log has {seen} with the probability by which it was chosen, so what other policies would have "
        "earned cannot be estimated. Log request_id, position and propensity with every view event, and let a few "
        "percent of the first places be drawn at random. Figures below are freed of popularity "
        "by a fitted power law instead."
    )


def _spoken(judged: Sequence[PolicyEstimate]) -> str:
    parts = [
        f"{row.policy} {_percent(row.value)} ({_range(row)})"
        + ("" if math.isnan(row.truth) else f", truth {_percent(row.truth)}")
        for row in _of(judged, TRUSTED)
    ]
    return f"Doubly robust estimates: {'; '.join(parts)}."


def _label(name: str) -> str:
    """How people write an estimator's name: `clipped_ips` → clipped IPS."""
    return " ".join(part.upper() if part in {"ips", "snips"} else part for part in name.split("_"))


def _of(judged: Sequence[PolicyEstimate], name: str) -> list[PolicyEstimate]:
    return [row for row in judged if row.estimator == name]


def _percent(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{100 * value:.1f}%"


def _range(row: PolicyEstimate) -> str:
    return "" if math.isnan(row.low) else f"{100 * row.low:.1f}–{100 * row.high:.1f}"


def _detail(row: PolicyEstimate) -> str:
    return f"{_range(row)}, {row.effective_n:,.0f}"


def _of_hundred(value: float) -> str:
    return f"{100 * value:.0f}" if value >= 0.1 else f"{100 * value:.1f}"

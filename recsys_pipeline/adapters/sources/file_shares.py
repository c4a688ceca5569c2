"""What one file of events delivers: its rows of a window, and the rows whose time cannot be used, once.

A file of a day or a release files them under the day with which its span begins. A file that grows has no such day: it
gives them with every window, and the day that reads them first keeps them (`core/dataset/undated.py`).
"""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from recsys_pipeline.core.dataset.far_days import WAY_OUT
from recsys_pipeline.core.dataset.schema import quoted
from recsys_pipeline.core.time import Window

SAME = "row(item_id, event, value, request_id, position, propensity, defect)::varchar"
"""What tells rows without a time apart from release to release, where line numbers move and users may be renumbered."""


@dataclass(frozen=True)
class Share:
    """What one file delivers: events in `[start, end)`.

    Of layout `days` all rows must lie in that span; of `file`, and of the first of `releases`, those that do not are
    lone far ones; of a later release they are those of other releases.
    """

    path: Path
    start: datetime
    end: datetime
    layout: Literal["file", "days", "releases"]
    earlier: Path | None = None
    """The release before it."""


def delivered(rows: str, share: Share, window: Window, first_day: date) -> str:
    """SQL over the rows of a file: those that it delivers in a window, with `filed_at` for those of no usable time."""
    start, end = _instant(share.start), _instant(share.end)
    inside = f"coalesce(timestamp >= {start} and timestamp < {end}, false)"
    if share.layout == "days":
        stray = f"not {inside}"
        why = f"'timestamp ' || timestamp || ' is outside {share.start.date()}, the day of its file'"
    else:
        ends = f" or timestamp >= {end}" if share.layout == "file" else ""
        before = (
            "" if share.earlier else f" or (timestamp < {start}{ends}) and timestamp >= date {quoted(str(first_day))}"
        )
        stray = f"(timestamp is null{before})"
        why = f"'timestamp ' || timestamp || ' lies months away from all other rows; {WAY_OUT}'"
    is_open = share.layout == "file"
    filed_at = "cast(null as timestamptz)" if is_open else f"case when {stray} then {start} end"
    opens = is_open or window.start <= share.start < window.end
    return f"""
        select * replace (case when defect is null and {stray} then {why} else defect end as defect),
               {filed_at} as filed_at
        from ({rows})
        where ({inside} and timestamp >= {_instant(window.start)} and timestamp < {_instant(window.end)})
           or ({str(opens).lower()} and {stray})
    """


def new_undated(rows: str, earlier: str) -> str:
    """SQL: the rows of a release, but those without a time that the release before it shows too, each as often."""
    undated = (
        "select *, row_number() over (partition by {same} order by source_row) as nth, {same} as said from ({rows}) "
    )
    undated += "where timestamp is null"
    return f"""
        select * from ({rows}) where timestamp is not null
        union all by name
        select * exclude (nth, said) from ({undated.format(same=SAME, rows=rows)}) anti join
            ({undated.format(same=SAME, rows=earlier)}) using (said, nth)
    """


def _instant(moment: datetime) -> str:
    return f"timestamptz {quoted(moment.isoformat())}"

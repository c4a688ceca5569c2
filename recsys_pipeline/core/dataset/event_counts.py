"""How often each event happened and what it was taken for, so that people see what a source's events mean."""

from collections import Counter
from collections.abc import Iterable, Mapping

import pyarrow as pa

from recsys_pipeline.core.dataset.events import SIGNS, EventMeaning, Kind

EVENT, AS = "event ", " as "


def event_counts(events: pa.Table, meaning: EventMeaning) -> dict[str, int]:
    """Rows by event and kind (`event click as interest`), in order of names; needs the columns `event` and `value`."""
    sign = pa.array(meaning.signs(events))
    told = pa.table({"event": events.column("event"), "sign": sign}).group_by(["event", "sign"])
    found = told.aggregate([([], "count_all")]).to_pylist()
    kinds = {number: kind for kind, number in SIGNS.items()}
    return dict(sorted((f"{EVENT}{row['event']}{AS}{kinds[row['sign']]}", row["count_all"]) for row in found))


def kinds_counted(figures: Iterable[Mapping[str, object]]) -> dict[tuple[str, Kind], int]:
    """The sums of what `event_counts` told of several days: rows by event and kind."""
    counts: Counter[tuple[str, Kind]] = Counter()
    for day in figures:
        for name, rows in day.items():
            for kind in SIGNS:
                if name.startswith(EVENT) and name.endswith(f"{AS}{kind}") and isinstance(rows, int):
                    counts[name.removeprefix(EVENT).removesuffix(f"{AS}{kind}"), kind] += rows
    return dict(sorted(counts.items()))

"""What happened in a run, one JSON object a line: appended without waiting, read as far as it was written."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recsys_pipeline.adapters.store.manifest import to_json

Event = dict[str, Any]
"""One line of events.jsonl: {"metrics": …}, {"table": …}, {"picture": …}, {"alert": …}, {"alias": …}, {"output": …} or
{"ended": …}; "at" is when, in seconds since the epoch: for people, it decides nothing."""


def append_event(path: Path, event: Event) -> None:
    """Add a line; raises `TypeError` or `ValueError` for what is no JSON, before the file is touched."""
    line = to_json({"at": time.time(), **event}) + "\n"
    with path.open("a", encoding="utf-8") as stream:
        stream.write(line)


def read_events(path: Path) -> Iterator[Event]:
    """Whole lines only: a process that is killed, or still writing, leaves half of one."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event

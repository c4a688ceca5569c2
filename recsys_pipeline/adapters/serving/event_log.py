"""Events that a shop sends: on the disk before they are accepted, each once, in files that a `files` source reads.

    <home>/events/<YYYY-MM-DD>/<HH>-<process>.jsonl     one event a line, by the hour of its timestamp

The columns are those of interactions, and `event_id`.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recsys_pipeline.adapters.serving.lines import append_lines, whole_lines
from recsys_pipeline.adapters.store.processes import Processes

REMEMBERED_DAYS = 2
"""An event that is sent again within so many days is told by its id."""


class EventLog:
    """Appends events; `accept` returns when they are on the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._name = Processes(folder / ".processes").new_name()
        self._lock = threading.Lock()
        self._known = {event["event_id"] for event in recent_events(folder)}

    def accept(self, events: Sequence[Mapping[str, Any]]) -> int:
        """Write events that are not known by their `event_id`; how many that were. `timestamp` is ISO 8601, UTC."""
        with self._lock:
            fresh = {event["event_id"]: event for event in events if event["event_id"] not in self._known}
            by_file: dict[Path, list[Mapping[str, Any]]] = {}
            for event in fresh.values():
                at = datetime.fromisoformat(event["timestamp"]).astimezone(UTC)
                file = self.folder / f"{at:%Y-%m-%d}" / f"{at:%H}-{self._name}.jsonl"
                by_file.setdefault(file, []).append(event)
            for file, of_file in by_file.items():
                append_lines(file, [json.dumps(dict(event), separators=(",", ":")) for event in of_file])
                self._known |= {event["event_id"] for event in of_file}  # at once: who sends again sends the rest
            return len(fresh)


def recent_events(folder: Path) -> list[dict[str, Any]]:
    """Of the last days that there are."""
    days = sorted(day for day in folder.glob("[0-9]*") if day.is_dir())[-REMEMBERED_DAYS:]
    return [json.loads(line) for day in days for file in sorted(day.glob("*.jsonl")) for line in whole_lines(file)]

"""Events of the hours after the tiny release, and the overlays that they make."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from recsys_pipeline.core.dataset.schema import INTERACTIONS
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.speed.build import build_overlay
from recsys_pipeline.core.speed.config import OverlayConfig
from recsys_pipeline.core.speed.overlay import Overlay, write_overlay
from recsys_pipeline.core.time import Window

END = datetime(2026, 1, 6, tzinfo=UTC)
"""The tiny release's end."""


def event(user: str, item: str, minutes: float, name: str = "click", value: float = 1.0) -> dict[str, Any]:
    """Something that happened so many minutes after the release's end."""
    return {"user_id": user, "item_id": item, "event": name, "value": value,
            "timestamp": END + timedelta(minutes=minutes)}  # fmt: skip


def table(events: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(events), schema=INTERACTIONS)


def hour(number: int) -> Window:
    """The hour that begins so many hours after the release's end."""
    return Window.of_hour(END + timedelta(hours=number))


def overlay(
    directory: Path,
    release: Release,
    events: Sequence[dict[str, Any]],
    number: int = 0,
    catalogue: pa.Table | None = None,
    config: OverlayConfig | None = None,
) -> Overlay:
    """Build, write and load."""
    parts, _ = build_overlay(release, table(events), hour(number), config or OverlayConfig(), catalogue)
    write_overlay(directory, release, parts)
    return Overlay.load(directory, release)

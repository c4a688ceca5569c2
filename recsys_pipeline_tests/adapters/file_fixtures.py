"""Small files and the sources over them, shared by the tests of the files source."""

import gzip
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.adapters.sources.files_config import FilesConfig
from recsys_pipeline.core.time import Window

DAY = date(2026, 3, 1)
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
EPOCH_S = int(MIDNIGHT.timestamp())
LATER = datetime(2026, 4, 1, tzinfo=UTC)
POSITIONS = {"user_id": 1, "item_id": 2, "value": 3, "timestamp": 4}


def source_over(root: Path, items: dict | None = None, **interactions) -> FilesSource:
    settings = {"path": "ratings.dat", "columns": POSITIONS, "time_unit": "s", "event": "rating", **interactions}
    return FilesSource(
        FilesConfig.model_validate({"name": "test", "root": root, "interactions": settings, "items": items})
    )


def rows_of(found: FilesSource, window: Window | None = None) -> list[dict]:
    window = window or Window(MIDNIGHT - timedelta(days=1), LATER)
    return sorted(
        found.interactions(window).read_all().to_pylist(), key=lambda row: (row["source_file"], row["source_row"])
    )


def rating_line(user: int, second: int, separator: str = "::") -> str:
    return separator.join([f"u{user}", f"i{user}", "4.5", str(EPOCH_S + second)])


def write_lines(path: Path, lines: list[str], newline: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(text + newline for text in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)

"""Prints a first `.env`: the documented example, with the simulated marketplace opened four weeks ago.

The start is written down once, because a start that moved with the clock would change every partition's data.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

HISTORY_DAYS = 28


def main() -> None:
    """Print `.env.example` with `RECSYS_START_DATE` filled in."""
    start = datetime.now(UTC).date() - timedelta(days=HISTORY_DAYS)
    example = Path(".env.example").read_text()
    print(example.replace("# RECSYS_START_DATE=2026-01-01", f"RECSYS_START_DATE={start}"), end="")


if __name__ == "__main__":
    main()

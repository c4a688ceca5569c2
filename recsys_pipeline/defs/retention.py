"""What `recsys gc` prints and does."""

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from recsys_pipeline.adapters.outbox import Outbox
from recsys_pipeline.adapters.retention import KEEP_DAYS, collect, delete
from recsys_pipeline.core.types import ArtifactRef
from recsys_pipeline.defs.resources import configured_source, open_store, report_folder
from recsys_pipeline.settings import Settings, settings

MEBIBYTE = 2**20


def print_collection(console: Console, dry_run: bool, keep_days: int | None, even_unsent: bool) -> int:
    """`recsys gc`: what goes, by asset, and what stays, by reason."""
    deployment, source = settings(), configured_source().name
    store = open_store(deployment, source)
    shown = shown_days(report_folder(deployment, source))
    days = KEEP_DAYS if keep_days is None else keep_days
    found = collect(store, days, shown, () if even_unsent else unsent(deployment, source))
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("asset", "versions", "from", "to", "MiB"):
        table.add_column(name, justify="left" if name == "asset" else "right")
    for key in sorted({one.place.key for one in found.doomed}):
        gone = [one for one in found.doomed if one.place.key == key]
        partitions = sorted(one.place.partition for one in gone)
        size = sum(one.n_bytes for one in gone) / MEBIBYTE
        table.add_row(key, f"{len(gone):,}", partitions[0], partitions[-1], f"{size:,.1f}")
    if found.doomed:
        console.print(table)
    if not dry_run:
        delete(store, found.doomed)
    verb = "would go" if dry_run else "deleted"
    console.print(f"{len(found.doomed):,} versions {verb}: {found.n_bytes / MEBIBYTE:,.1f} MiB")
    for reason, count in Counter(found.kept.values()).most_common():
        console.print(f"  {count:,} stay: {reason}")
    return 0


def shown_days(folder: Path) -> frozenset[str]:
    """Days whose page stands in the report folder."""
    return frozenset(path.stem for path in folder.glob("????-??-??.html"))


def unsent(deployment: Settings, source: str) -> list[ArtifactRef]:
    """What runs made and used that wait in the outbox, or go on."""
    outbox = Outbox(deployment.home / "wandb" / "outbox")
    named = [
        stored for entry in (*outbox.ready(), *outbox.running()) for stored in (*entry.outputs, *entry.facts.inputs)
    ]
    return [stored.ref for stored in named if stored.source == source]

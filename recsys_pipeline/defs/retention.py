"""What `recsys gc` prints and does."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_pipeline.adapters.deletion import Doomed, Place, delete
from recsys_pipeline.adapters.machine_errors import told
from recsys_pipeline.adapters.outbox import Outbox
from recsys_pipeline.adapters.retention import KEEP_DAYS, collect
from recsys_pipeline.adapters.store import ArtifactStore
from recsys_pipeline.core.types import ArtifactRef
from recsys_pipeline.defs.resources import configured_source, open_store, report_folder
from recsys_pipeline.settings import Settings, settings

MEBIBYTE = 2**20


def print_collection(console: Console, dry_run: bool, keep_days: int | None, even_unsent: bool) -> int:
    """`recsys gc`: what goes, by asset, and what stays, by reason; 1 where something could not be deleted."""
    deployment, source = settings(), configured_source().name
    store = open_store(deployment, source)
    shown = shown_days(report_folder(deployment, source))
    days = KEEP_DAYS if keep_days is None else keep_days
    found = collect(store, days, shown, () if even_unsent else unsent(deployment, source))
    if found.doomed:
        console.print(_table(found.doomed))
    stuck = {} if dry_run else _delete(store, found.doomed)
    gone = [one for one in found.doomed if one.place not in stuck]
    size = sum(one.n_bytes for one in gone) / MEBIBYTE
    console.print(f"{len(gone):,} versions {'would go' if dry_run else 'deleted'}: {size:,.1f} MiB")
    for reason, count in Counter(found.kept.values()).most_common():
        console.print(f"  {count:,} stay: {reason}")
    for place, reason in stuck.items():
        console.print(f"[red]not deleted[/red] {place}: {escape(reason)}", soft_wrap=True)
    if stuck:
        console.print("see `recsys doctor`, and collect again when that is mended")
    return 1 if stuck else 0


def _delete(store: ArtifactStore, doomed: Iterable[Doomed]) -> dict[Place, str]:
    """Delete what can be deleted; what stayed, and why."""
    stuck = {}
    for one in doomed:
        try:
            delete(store, [one])
        except OSError as error:
            stuck[one.place] = told(error)
    return stuck


def _table(doomed: Sequence[Doomed]) -> Table:
    """How much of each asset would go."""
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("asset", "versions", "from", "to", "MiB"):
        table.add_column(name, justify="left" if name == "asset" else "right")
    for key in sorted({one.place.key for one in doomed}):
        going = [one for one in doomed if one.place.key == key]
        partitions = sorted(one.place.partition for one in going)
        size = sum(one.n_bytes for one in going) / MEBIBYTE
        table.add_row(key, f"{len(going):,}", partitions[0], partitions[-1], f"{size:,.1f}")
    return table


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

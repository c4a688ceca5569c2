"""`recsys gc`: delete what nothing needs."""

import argparse
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.adapters.store.deletion import Doomed, Place, delete
from recsys_pipeline.adapters.store.homes import other_homes
from recsys_pipeline.adapters.store.machine_errors import told
from recsys_pipeline.adapters.store.retention import KEEP_DAYS, collect
from recsys_pipeline.adapters.wandb.outbox import Entry, Outbox
from recsys_pipeline.core.keys import ArtifactRef
from recsys_pipeline.defs.resources import configured_source, open_store, report_folder
from recsys_pipeline.settings import settings

MEBIBYTE = 2**20


def run(console: Console, parsed: argparse.Namespace) -> int:
    """What goes, by asset, and what stays, by reason; 1 where something could not be deleted."""
    deployment, source = settings(), configured_source().name
    store = open_store(deployment, source)
    dry_run, shown = parsed.dry_run, shown_days(report_folder(deployment, source))
    days = KEEP_DAYS if parsed.keep_days is None else parsed.keep_days
    outbox = Outbox(deployment.home / "wandb" / "outbox")
    expired = never_sent(outbox, deployment.unsent_days)
    waiting = unsent(outbox, source, {entry.facts.id for entry in expired})
    first_unsent = datetime.now(UTC) - timedelta(days=deployment.unsent_days)
    others = [] if parsed.even_unsent else other_homes(store.fs, store.root, store.cache, first_unsent)
    found = collect(
        store, days, shown, () if parsed.even_unsent else waiting, decision_days=gate_looks_back(),
        others_since=first_unsent if others else None,
    )  # fmt: skip
    if found.doomed:
        console.print(_table(found.doomed))
    stuck = {} if dry_run else _delete(store, found.doomed)
    gone = [one for one in found.doomed if one.place not in stuck]
    size = sum(one.n_bytes for one in gone) / MEBIBYTE
    console.print(f"{len(gone):,} versions {'would go' if dry_run else 'deleted'}: {size:,.1f} MiB")
    for reason, count in Counter(found.kept.values()).most_common():
        console.print(f"  {count:,} stay: {reason}")
    for home in others:
        console.print(f"another home writes here: {escape(str(home))}. --even-unsent passes it over", soft_wrap=True)
    if expired:
        _tell_expired(console, expired, deployment.unsent_days, dry_run)
    if not dry_run:
        outbox.let_go(expired)
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


def gate_looks_back() -> int:
    """Days, as the deployment's settings have it."""
    from recsys_pipeline.defs.serving import GateForm  # at once it would load every asset for `recsys gc --help`

    return GateForm().decay_days  # pyright: ignore[reportAttributeAccessIssue] (made at run time)


def shown_days(folder: Path) -> frozenset[str]:
    """Days whose page stands in the report folder."""
    return frozenset(path.stem for path in folder.glob("????-??-??.html"))


def unsent(outbox: Outbox, source: str, expired: Collection[str]) -> list[ArtifactRef]:
    """What runs made and used that wait in the outbox, or go on; not those of these ids."""
    named = [
        stored
        for entry in (*outbox.ready(skip=expired), *outbox.running())
        for stored in (*entry.outputs, *entry.facts.inputs)
    ]
    return [stored.ref for stored in named if stored.source == source]


def never_sent(outbox: Outbox, days: int, now: datetime | None = None) -> list[Entry]:
    """Runs that ended and have waited longer than so many days: where nobody has an account, all do for ever."""
    first = ((now or datetime.now(UTC)) - timedelta(days=days)).isoformat()
    return [entry for entry in outbox.ready() if entry.facts.opened_at and entry.facts.opened_at < first]


def _tell_expired(console: Console, expired: Sequence[Entry], days: int, dry_run: bool) -> None:
    console.print(
        f"{len(expired):,} runs of {expired[0].facts.opened_at[:10]} to {expired[-1].facts.opened_at[:10]} were never "
        f"sent to W&B in {days} days (RECSYS_UNSENT_DAYS): they {'would go' if dry_run else 'are let go'}"
        + ("; `recsys wandb push` sends them before" if dry_run else ""),
        soft_wrap=True,
    )

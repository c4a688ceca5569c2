"""What the lineage page shows of each artifact on view."""

import json
from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from recsys_pipeline.adapters.lineage.graph import Version
from recsys_pipeline.adapters.lineage.makings import Making
from recsys_pipeline.adapters.store.versions import STAGES
from recsys_pipeline.commands.showing.lineage_runs import counted, in_runs
from recsys_pipeline.commands.showing.lineage_tree import View, headline, made_when
from recsys_pipeline.core.reports.page.lineage_page import LineageCard, render_lineage
from recsys_pipeline.core.reports.page.page import counts
from recsys_pipeline.defs.resources import configured_source

LISTED_FILES = 100


def write_page(view: View, path: Path) -> None:
    """Write the page of a view: one file that opens without a network."""
    shown = view.shown()
    edges = view.edges(shown)
    runs = _runs(view, shown, edges)
    rows = {making: row for row, run in enumerate(runs) for making in run}
    drawn = dict.fromkeys((rows[one], rows[other]) for one, other in edges)
    cards = [_card(view, run[0]) if len(run) == 1 else _run_card(view, run) for run in runs]
    path.parent.mkdir(parents=True, exist_ok=True)
    days = len({making.ref.partition for making in shown})
    totals = counts([("artifacts", len(shown)), ("edges", len(edges)), ("days", days)])
    facts = [("source", configured_source().name), *totals]
    path.write_text(render_lineage(cards, list(drawn), STAGES, _sentence(view, shown), facts), encoding="utf-8")


def _runs(view: View, shown: list[Making], edges: list[tuple[Making, Making]]) -> list[list[Making]]:
    """Boxes of the page: days of other partitions that have the same neighbours on view are one."""
    inputs, outputs = defaultdict(set), defaultdict(set)
    for one, other in edges:
        inputs[other].add(one)
        outputs[one].add(other)

    def alike(making: Making) -> Hashable:
        if making.ref.partition == view.asked.ref.partition:
            return making
        return _state(view.makings.version(making)), frozenset(inputs[making]), frozenset(outputs[making])

    return in_runs(shown, alike)


def _sentence(view: View, shown: list[Making]) -> str:
    asked = view.asked
    up, down = view.upstream(asked), view.downstream(asked)
    gone = sum(view.makings.version(making) is None for making in up)
    lost = f" ({gone:,} gone)," if gone else ","
    hidden = len({*up, *down} - set(shown)) if view.up and view.down else 0
    rest = f" {hidden:,} lie behind artifacts of other days and are left out." if hidden else ""
    return f"{asked.ref.key}@{asked.ref.partition} was made from {_many(up)}{lost} and went into {_many(down)}.{rest}"


def _many(makings: tuple[Making, ...]) -> str:
    return f"{len(makings):,} artifact{'s' * (len(makings) != 1)}, directly or not" if makings else "no other"


def _state(version: Version | None) -> str:
    return "gone" if version is None else "current" if version.is_current else "older"


def _card(view: View, making: Making) -> LineageCard:
    ref, version = making.ref, view.makings.version(making)
    told: dict[str, Any] = {"is_asked": making == view.asked, "state": _state(version)}
    if version is None:
        return LineageCard(ref.key, ref.partition, ref.digest, **told)
    others = [other.name for other in view.makings.same_content(making)]
    facts, tables = tuple(_facts(version, others)), tuple(_tables(version))
    return LineageCard(ref.key, ref.partition, ref.digest, headline=headline(version.manifest), facts=facts,
                       tables=tables, **told)  # fmt: skip


def _run_card(view: View, run: list[Making]) -> LineageCard:
    """Many days in one box; their digests and figures are in its table."""
    versions = [view.makings.version(making) for making in run]
    rows = [
        (making.ref.partition, f"{making.ref.digest[:12]}  {headline(version.manifest) if version else 'gone'}")
        for making, version in zip(run, versions, strict=True)
    ]
    facts = (("first", run[0].ref.partition), ("last", run[-1].ref.partition))
    tables = (("Each", tuple(rows)),)
    return LineageCard(run[0].ref.key, counted(run), "", _state(versions[0]), facts=facts, tables=tables)


def _facts(version: Version, same_content: list[str]) -> list[tuple[str, str]]:
    manifest = version.manifest
    facts = [
        ("made", f"{made_when(manifest)} UTC"),
        ("took", f"{manifest.seconds:,.1f} s"),
        ("run", manifest.run_id or "–"),
        ("code", manifest.recipe.code_version),
        ("folder", version.name),
    ]
    return [*facts, ("same content in", ", ".join(same_content))] if same_content else facts


def _tables(version: Version) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    recipe, files = version.manifest.recipe, version.manifest.files
    listed = [
        (name, f"{entry['bytes']:,} bytes · {entry['sha256'][:12]}")
        for name, entry in list(files.items())[:LISTED_FILES]
    ]
    if len(files) > LISTED_FILES:
        listed.append(("…", f"and {len(files) - LISTED_FILES:,} more"))
    tables = [
        ("Config", _rows(recipe.config)),
        ("Metrics", _rows(version.manifest.metrics)),
        ("Files", tuple(listed)),
        ("Libraries", _rows(recipe.libraries)),
    ]
    return [(title, rows) for title, rows in tables if rows]


def _rows(values: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, _text(value)) for name, value in values.items())


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value or '""'
    return f"{value:,.6g}" if isinstance(value, float) else json.dumps(value)

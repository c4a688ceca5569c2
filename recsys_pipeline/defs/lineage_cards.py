"""What the lineage page shows of each artifact on view."""

import json
from pathlib import Path
from typing import Any

from recsys_pipeline.adapters.lineage import Node, Version
from recsys_pipeline.adapters.versions import STAGES
from recsys_pipeline.core.reports.page.lineage_page import LineageCard, render_lineage
from recsys_pipeline.core.types import ArtifactRef
from recsys_pipeline.defs.lineage import View, headline, made_when
from recsys_pipeline.defs.resources import configured_source

LISTED_FILES = 100


def write_page(view: View, path: Path) -> None:
    """Write the page of a view: one file that opens without a network."""
    refs = view.refs()
    rows = {ref: row for row, ref in enumerate(refs)}
    edges = [(rows[edge.input], rows[edge.output]) for edge in view.edges(refs)]
    cards = [_card(view.graph.nodes[ref], is_asked=ref == view.asked) for ref in refs]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        render_lineage(cards, edges, STAGES, _sentence(view, refs), configured_source().name), encoding="utf-8"
    )


def _sentence(view: View, refs: list[ArtifactRef]) -> str:
    graph, asked = view.graph, view.asked
    up, down = graph.upstream(asked), graph.downstream(asked)
    gone = sum(graph.nodes[ref].is_gone for ref in up)
    lost = f" ({gone:,} gone)," if gone else ","
    hidden = len({*up, *down} - set(refs)) if view.up and view.down else 0
    rest = f" {hidden:,} lie behind artifacts of other days and are left out." if hidden else ""
    return f"{asked.key}@{asked.partition} was made from {_many(up)}{lost} and went into {_many(down)}.{rest}"


def _many(refs: tuple[ArtifactRef, ...]) -> str:
    return f"{len(refs):,} artifact{'s' * (len(refs) != 1)}, directly or not" if refs else "no other"


def _card(node: Node, is_asked: bool) -> LineageCard:
    ref, version = node.ref, node.shown
    if version is None:
        return LineageCard(ref.key, ref.partition, ref.digest, "gone", is_asked=is_asked)
    manifest = version.manifest
    return LineageCard(
        ref.key,
        ref.partition,
        ref.digest,
        "current" if node.is_current else "older",
        headline(manifest),
        tuple(_facts(node, version)),
        tuple(_tables(version)),
        is_asked,
    )


def _facts(node: Node, version: Version) -> list[tuple[str, str]]:
    manifest = version.manifest
    facts = [
        ("made", f"{made_when(manifest)} UTC"),
        ("took", f"{manifest.seconds:,.1f} s"),
        ("run", manifest.run_id or "–"),
        ("code", manifest.recipe.code_version),
        ("folder", version.name),
    ]
    others = [other.name for other in node.versions if other is not version]
    return [*facts, ("same content in", ", ".join(others))] if others else facts


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

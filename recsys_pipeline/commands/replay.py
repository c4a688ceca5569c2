"""`recsys replay REQUEST`: make a list that was served again, and say what made it."""

import argparse
import json
from typing import Any

from rich.console import Console
from rich.markup import escape

from recsys_pipeline.adapters.serving.policies import kept_policy
from recsys_pipeline.adapters.serving.served_log import Made, find_served, row_of
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.keys import ArtifactRef
from recsys_pipeline.core.serving.offer import Offer
from recsys_pipeline.core.serving.policy.lists import make_list
from recsys_pipeline.core.serving.policy.request import Request
from recsys_pipeline.core.serving.release import Release
from recsys_pipeline.core.speed.overlay import Overlay
from recsys_pipeline.defs.resources import configured_source, open_store
from recsys_pipeline.service.server import served_folder
from recsys_pipeline.settings import settings


def run(console: Console, parsed: argparse.Namespace) -> int:
    """Print what made the list, and whether it comes out the same, byte for byte."""
    name = configured_source().name
    store, row = open_store(settings(), name), find_served(served_folder(settings(), name), parsed.request)
    again = made_again(store, row)
    same = _text(again) == _text(row)
    console.print(f"[bold]{escape(row['request_id'])}[/bold] for {escape(row['user_id'] or 'nobody in particular')}")
    for what, value in (
        ("release", f"{row['release_day']} {row['release'][:12]}"),
        ("overlay", f"{row['overlay_hour']} {row['overlay'][:12]}" if row["overlay"] else "none"),
        ("policy", row["policy"][:12]), ("skipped", ", ".join(row["skipped"]) or "nothing"),
        ("request", row["request"]),
    ):  # fmt: skip
        console.print(f"  {what:8} {escape(value)}", soft_wrap=True)
    for place in row["places"]:
        console.print(
            f"  {place['position'] + 1:>3} {escape(place['item_id'])}  {place['score']:.4f}  {place['source']}"
        )
    console.print("made again: the same, byte for byte" if same else "[red]made again: another list[/red]")
    return 0 if same else 1


def made_again(store: ArtifactStore, row: dict[str, Any]) -> dict[str, Any]:
    """The row of the same request over the same release, overlay and policy.

    Raises `ArtifactError` naming what is gone.
    """
    release = Release.load(_found(store, ArtifactRef("serving/release", row["release_day"], row["release"])))
    overlay = None
    if row["overlay"]:
        ref = ArtifactRef("speed/overlay", row["overlay_hour"], row["overlay"])
        overlay = Overlay.load(_found(store, ref), release)
    request = Request.of(json.loads(row["request"]))
    found = make_list(Offer.of(release, overlay, 1), kept_policy(store, row["policy"]), request, row["skipped"])
    return row_of(found, Made(*(row[name] for name in Made.__dataclass_fields__)))


def _found(store: ArtifactStore, ref: ArtifactRef) -> Any:
    found = store.find(ref)
    if found is None:
        raise ArtifactError(
            f"{ref.key}@{ref.partition} {ref.digest[:12]} is gone: `recsys gc` has collected it, or "
            "it was served from another store (RECSYS_STORE)"
        )
    return found.path


def _text(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)

"""Which runtime roots write into a store: on a shared one, others have runs to send to W&B and pages that link to it.

    <store root>/.homes/<id>.json    host and cache of a home, and when it last wrote

A home is known by a random id, which it keeps in its cache: two containers may agree in host name and path.
"""

import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

HOMES, ID = ".homes", "home.id"
NOTED_EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class Home:
    """A runtime root that wrote into a store."""

    host: str
    cache: str
    at: str
    """When last, UTC, to the hour."""

    def __str__(self) -> str:
        return f"{self.cache} on {self.host}, {self.at[:16].replace('T', ' ')}"


@cache
def _noted() -> dict[tuple[str, str], datetime]:
    """When this process last noted which home in which store."""
    return {}


def note_home(fs: Any, root: str, place: Path) -> None:
    """Say that the home with this cache writes into the store below `root`; done once an hour."""
    now, key = datetime.now(UTC), (root, str(place))
    if key in _noted() and now - _noted()[key] < NOTED_EVERY:
        return
    home = Home(socket.gethostname(), str(place.absolute()), now.isoformat(timespec="seconds"))
    fs.makedirs(f"{root}/{HOMES}", exist_ok=True)
    fs.pipe_file(f"{root}/{HOMES}/{_id_of(place)}.json", json.dumps(asdict(home)).encode())
    _noted()[key] = now


def other_homes(fs: Any, root: str, place: Path, since: datetime) -> list[Home]:
    """Homes other than that with this cache that wrote since a moment; one whose note is damaged counts as such."""
    folder, own = f"{root}/{HOMES}", f"{_id_of(place)}.json"
    paths = sorted(fs.ls(folder, detail=False)) if fs.exists(folder) else []
    found = [_read(fs, path) for path in paths if path.endswith(".json") and path.rsplit("/", 1)[-1] != own]
    return [home for home in found if home.at >= since.isoformat()]


def _read(fs: Any, path: str) -> Home:
    try:
        return Home(**json.loads(fs.cat_file(path)))
    except (ValueError, TypeError):  # it was just being written, or is damaged: it may be anybody's, of any time
        return Home("an unknown host", path, "9999")


def _id_of(place: Path) -> str:
    """The random id of a home; the first of several processes that ask for it gives it."""
    path = place / ID
    if not path.is_file():
        place.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{ID}.{uuid.uuid4().hex}")
        new.write_text(uuid.uuid4().hex)
        try:
            os.link(new, path)
        except FileExistsError:
            pass
        finally:
            new.unlink()
    return path.read_text()

"""Every user's list in one Parquet file, whole or not there: for a cache, a mailing, or a look in a notebook."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from recsys_pipeline.adapters.serving.served import Served
from recsys_pipeline.adapters.store import durable_files
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.speed.lists import LISTS


@dataclass(frozen=True)
class Exported:
    """What a file of lists holds."""

    k: int
    n_users: int
    n_rows: int
    n_short: int
    """Users with fewer than k items."""


def write_lists(
    served: Served, path: Path, k: int | None = None, show: Callable[[int], None] = lambda _: None
) -> Exported:
    """Write the lists of all known users batch by batch, and put the file in its place when it is whole.

    The file's metadata names release and overlay. `show` is told after each batch how many users are done. Raises
    `SettingError` where the path cannot be such a file.
    """
    _check(path)
    k = served.release.config.k if k is None else k
    schema = LISTS.with_metadata(_from(served))
    n_users = n_rows = n_short = 0
    with durable_files.replacing_beside(path) as temporary, pq.ParquetWriter(temporary, schema) as to:
        for n_of_batch, table in served.every_list(k):
            to.write_table(table)
            n_users, n_rows = n_users + n_of_batch, n_rows + table.num_rows
            n_short += n_of_batch - int((table["position"].to_numpy() == k - 1).sum())
            show(n_users)
    return Exported(k, n_users, n_rows, n_short)


def _check(path: Path) -> None:
    if path.suffix != ".parquet":
        raise SettingError(f"--to {path}: lists are written as Parquet, name a file that ends in .parquet")
    if path.is_dir():
        raise SettingError(f"--to {path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise SettingError(f"--to {path}: there is no folder {path.parent}, make it first")


def _from(served: Served) -> dict[str, str]:
    """What the lists were made of, for whoever finds the file."""
    refs = {"release": served.release_ref, "overlay": served.overlay_ref}
    return {name: f"{ref.key}@{ref.partition} {ref.digest}" for name, ref in refs.items() if ref is not None}

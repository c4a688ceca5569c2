"""Public data sets by name: downloaded once, checked, unpacked beside their licence notice, then read like any files.

    RECSYS_SOURCE=download:ml-100k

Checksums: `ml-100k`, `ml-1m` and `ml-25m` are pinned here, by the MD5 sums that GroupLens publishes. For
`ml-latest-small` (which changes) and `ml-32m` the sum is fetched from `<archive>.md5`, so it guards against a broken
transfer and not against a changed server; where there is none, the CRC-32 inside the archive is all that is checked.
MovieTweetings publishes no sums: its files are checked for length.
"""

import logging
import os
import re
import shutil
import stat
import zipfile
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath

import pyarrow as pa

from recsys_pipeline.adapters.sources.declared_meaning import declared_meaning
from recsys_pipeline.adapters.sources.described_tables import EventsSection
from recsys_pipeline.adapters.sources.download_file import Patience, fetch_file, fetch_text
from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.adapters.sources.files_config import (
    FilesConfig,
    InteractionColumns,
    InteractionFiles,
    ItemColumns,
    ItemFiles,
)
from recsys_pipeline.core.dataset.source_meaning import SourceMeaning
from recsys_pipeline.core.dataset.sources import DayRange
from recsys_pipeline.core.errors import SettingError, SourceError
from recsys_pipeline.core.time import Window

logger = logging.getLogger(__name__)

GROUPLENS = "https://files.grouplens.org/datasets/movielens"
MOVIETWEETINGS = "https://raw.githubusercontent.com/sidooms/MovieTweetings/master/latest"
GROUPLENS_NOTICE = (
    "MovieLens data, (c) GroupLens Research, University of Minnesota. For research use; no commercial use and no "
    "redistribution without permission; acknowledge the data set in publications (F. M. Harper and J. A. Konstan, "
    "The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015). Full terms: the README beside the data."
)
MOVIETWEETINGS_NOTICE = (
    "MovieTweetings, (c) Simon Dooms, MIT licence. Please cite: S. Dooms, T. De Pessemier, L. Martens, "
    "MovieTweetings: a Movie Rating Dataset Collected From Twitter, CrowdRec at RecSys 2013."
)
NOTICE_FILE = "LICENCE-NOTICE.txt"
ML_100K_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """A data set that can be had by name: `files` below `base_url`; zip archives are unpacked."""

    base_url: str
    files: tuple[str, ...]
    notice: str
    interactions: InteractionFiles
    items: ItemFiles
    md5: str | None = None
    """Pinned sum of the only file, where one is publicly known."""


def _by_position(path: str, separator: str = "") -> InteractionFiles:
    columns = InteractionColumns(user_id=1, item_id=2, value=3, timestamp=4)
    return InteractionFiles(path=path, separator=separator, columns=columns, time_unit="s", event="rating")


def _csv(name: str, md5: str | None = None) -> Preset:
    columns = InteractionColumns(user_id="userId", item_id="movieId", value="rating", timestamp="timestamp")
    ratings = InteractionFiles(path=f"{name}/ratings.csv", header=True, columns=columns, time_unit="s", event="rating")
    item_columns = ItemColumns(item_id="movieId", title="title", categories="genres")
    movies = ItemFiles(path=f"{name}/movies.csv", header=True, quote=True, columns=item_columns)
    return Preset(GROUPLENS, (f"{name}.zip",), GROUPLENS_NOTICE, ratings, movies, md5)


_ALL_RATINGS = EventsSection(likes_from=0, pair="latest", repeats="one")
_TITLED = ItemColumns(item_id=1, title=2, categories=3)
PRESETS = {
    "ml-100k": Preset(
        GROUPLENS,
        ("ml-100k.zip",),
        GROUPLENS_NOTICE,
        _by_position("ml-100k/u.data", separator="\t"),
        ItemFiles(
            path="ml-100k/u.item",
            separator="|",
            encoding="latin-1",
            columns=ItemColumns(item_id=1, title=2),
            category_flags=ML_100K_GENRES,
            first_flag=6,
        ),
        md5="0e33842e24a9c977be4e0107933c0723",
    ),
    "ml-1m": Preset(
        GROUPLENS,
        ("ml-1m.zip",),
        GROUPLENS_NOTICE,
        _by_position("ml-1m/ratings.dat"),
        ItemFiles(path="ml-1m/movies.dat", encoding="latin-1", columns=_TITLED),
        md5="c4d9eecfca2ab87c1945afe126590906",
    ),
    "ml-latest-small": _csv("ml-latest-small"),
    "ml-25m": _csv("ml-25m", md5="6b51fb2759a8657d3bfcbfc42b592ada"),
    "ml-32m": _csv("ml-32m"),
    "movietweetings": Preset(
        MOVIETWEETINGS,
        ("ratings.dat", "movies.dat"),
        MOVIETWEETINGS_NOTICE,
        _by_position("ratings.dat"),
        ItemFiles(path="movies.dat", columns=_TITLED),
    ),
}


def open_preset(name: str, directory: Path) -> "DownloadSource":
    """The source of a preset; its data goes below `directory/<name>`. Raises `SettingError` for an unknown name."""
    if name not in PRESETS:
        raise SettingError(f"RECSYS_SOURCE: no download preset {name!r}; there are {', '.join(PRESETS)}")
    return DownloadSource(name, PRESETS[name], directory / name)


class DownloadSource:
    """A `Source` over a preset; the first call that needs data downloads it into `directory`.

    Every call may raise `SourceError`, where the data cannot be had.
    """

    def __init__(self, name: str, preset: Preset, directory: Path, patience: Patience | None = None) -> None:
        self.name = name
        self.provides = frozenset({"interactions", "items"})
        self.preset = preset
        self.directory = directory
        self.patience = patience or Patience()

    @cached_property
    def files(self) -> FilesSource:
        """The data on disk, downloaded first where it is not there."""
        for name in self.preset.files:
            if not self._done(name).exists():
                self._obtain(name)
        config = FilesConfig(
            name=self.name, root=self.directory, interactions=self.preset.interactions, items=self.preset.items
        )
        return FilesSource(config)

    @property
    def meaning(self) -> SourceMeaning:
        """Every rating is interest: models of ratings learn from low ones too."""
        return declared_meaning(self.preset.interactions, _ALL_RATINGS, self.name, ())

    def days(self) -> DayRange:
        return self.files.days()

    def interactions(self, window: Window) -> pa.RecordBatchReader:
        return self.files.interactions(window)

    def items(self, as_of: datetime) -> pa.Table:
        return self.files.items(as_of)

    def looks(self, as_of: datetime) -> pa.Table:
        return self.files.looks(as_of)

    def image(self, reference: str) -> bytes:
        return self.files.image(reference)

    def check(self) -> None:
        self.files.check()

    def fingerprint(self, window: Window, table: str = "interactions") -> str:
        return self.files.fingerprint(window, table)

    def _done(self, name: str) -> Path:
        """What exists once a file is ready: the folder of an archive, or the file."""
        return self.directory / name.removesuffix(".zip")

    def _obtain(self, name: str) -> None:
        url = f"{self.preset.base_url}/{name}"
        self.directory.mkdir(parents=True, exist_ok=True)
        notice = self.directory / NOTICE_FILE
        if not notice.exists():
            logger.warning("licence of %s: %s", self.name, self.preset.notice)
            notice.write_text(self.preset.notice + "\n", encoding="utf-8")
        logger.info("downloading %s", url)
        archive = self.directory / name
        if not name.endswith(".zip"):
            fetch_file(url, archive, None, self.patience)
            return
        fetch_file(url, archive, self.preset.md5 or self._published_md5(url), self.patience)
        unpack(archive, self._done(name))
        archive.unlink()

    def _published_md5(self, url: str) -> str | None:
        match = re.search(r"\b[0-9a-f]{32}\b", fetch_text(f"{url}.md5", self.patience) or "")
        if match is None:
            logger.warning("no checksum at %s.md5: only the archive's own CRC-32 is checked", url)
        return match and match[0]


def unpack(archive: Path, folder: Path) -> None:
    """Unpack `<folder name>/…` of a zip to `folder`, at once or not at all.

    Raises `SourceError` for an archive that is broken, lacks that folder, or would write elsewhere (`..`, links).
    """
    staging = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as content:
            for member in content.infolist():
                _refuse_strays(member, archive)
            content.extractall(staging)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise SourceError(f"{archive} is not a whole zip archive: {error}; remove it and download again") from error
    if not (staging / folder.name).is_dir():
        found = sorted(path.name for path in staging.iterdir())
        shutil.rmtree(staging)
        raise SourceError(f"{archive} holds {found} instead of a folder {folder.name}")
    os.replace(staging / folder.name, folder)
    shutil.rmtree(staging)


def _refuse_strays(member: zipfile.ZipInfo, archive: Path) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]) or is_link:
        raise SourceError(f"{archive} holds {member.filename!r}, which would leave its folder: not unpacked")

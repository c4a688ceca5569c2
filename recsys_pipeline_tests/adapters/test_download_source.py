"""Presets: download, checksum, licence, unpacking, and reading by each archive's layout."""

import hashlib
import io
import logging
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from recsys_pipeline.adapters.sources.download import NOTICE_FILE, PRESETS, DownloadSource, open_preset, unpack
from recsys_pipeline.adapters.sources.download_file import Patience
from recsys_pipeline.core.dataset.sources import Source
from recsys_pipeline.core.errors import SettingError, SourceError
from recsys_pipeline.core.time import Window
from recsys_pipeline_tests.adapters.local_server import Server, local_server

QUICK = Patience(timeout_s=5.0, attempts=3, backoff_s=0.01)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[Server]:
    with local_server({}) as running:
        yield running


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def archive(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    return content.getvalue()


GENRES = b"|".join([b"0"] * 5 + [b"1"] + [b"0"] * 13)
LATIN_TITLE = "Misérables, Les".encode("latin-1")
CSV = {
    "ratings.csv": b"userId,movieId,rating,timestamp\n1,7,3.0,881250949\n",
    "movies.csv": 'movieId,title,genres\n7,"Misérables, Les",Comedy\n'.encode(),
}
DATA_SETS: dict[str, dict[str, bytes]] = {
    "ml-100k": {"u.data": b"1\t7\t3\t881250949\n", "u.item": b"7|" + LATIN_TITLE + b"|||url|" + GENRES + b"\n"},
    "ml-1m": {"ratings.dat": b"1::7::3::881250949\n", "movies.dat": b"7::" + LATIN_TITLE + b"::Comedy\n"},
    "ml-latest-small": CSV,
    "ml-25m": CSV,
    "ml-32m": CSV,
}


def serve(server: Server, name: str) -> DownloadSource:
    """A source over a tiny stand-in for a GroupLens archive with the layout of the real one."""
    content = archive({f"{name}/{file}": text for file, text in DATA_SETS[name].items()})
    server.files[f"{name}.zip"] = content
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    server.files[f"{name}.zip.md5"] = f"MD5 ({name}.zip) = {md5}\n".encode()
    pinned = md5 if PRESETS[name].md5 else None
    return DownloadSource(name, replace(PRESETS[name], base_url=server.url, md5=pinned), Path(), QUICK)


def check_contents(found: DownloadSource) -> None:
    assert found.days().first == date(1997, 12, 4)
    (row,) = found.interactions(Window.of_day(date(1997, 12, 4))).read_all().to_pylist()
    assert (row["user_id"], row["item_id"], row["event"], row["value"], row["defect"]) == (
        "1",
        "7",
        "rating",
        3.0,
        None,
    )
    (item,) = found.items(NOW).to_pylist()
    assert (item["item_id"], item["title"], item["categories"]) == ("7", "Misérables, Les", ["Comedy"])


@pytest.mark.parametrize("name", DATA_SETS)
def test_each_movielens_preset_is_read_by_its_layout(server: Server, tmp_path: Path, name: str) -> None:
    found = serve(server, name)
    found.directory = tmp_path / name
    assert found.provides == {"interactions", "items"}
    assert server.requests == [], "nothing is downloaded before it is needed"
    check_contents(found)
    assert names(tmp_path / name) == sorted([NOTICE_FILE, name]), "the archive is gone, the notice stays"
    asked = len(server.requests)
    again = DownloadSource(name, found.preset, tmp_path / name, QUICK)
    assert again.fingerprint(Window.of_day(date(1997, 12, 4))) == found.fingerprint(Window.of_day(date(1997, 12, 4)))
    assert len(server.requests) == asked, "a second run downloads nothing"


def test_movietweetings_preset_is_two_files(server: Server, tmp_path: Path) -> None:
    server.files |= {"ratings.dat": b"1::7::3::881250949\n", "movies.dat": "7::Misérables, Les::Comedy\n".encode()}
    check_contents(
        DownloadSource("movietweetings", replace(PRESETS["movietweetings"], base_url=server.url), tmp_path, QUICK)
    )


def test_licence_is_told_once(server: Server, tmp_path: Path, caplog) -> None:
    found = serve(server, "ml-32m")
    found.directory = tmp_path
    with caplog.at_level(logging.INFO):
        found.days()
    assert caplog.text.count("GroupLens Research, University of Minnesota") == 1
    assert "no redistribution" in (tmp_path / NOTICE_FILE).read_text()
    caplog.clear()
    DownloadSource("ml-32m", found.preset, tmp_path, QUICK).days()
    assert caplog.text == ""


def test_published_checksum_is_kept_to_and_its_absence_is_told(server: Server, tmp_path: Path, caplog) -> None:
    found = serve(server, "ml-32m")
    found.directory = tmp_path
    published = server.files.pop("ml-32m.zip.md5")
    server.files["ml-32m.zip.md5"] = b"0" * 32
    with pytest.raises(SourceError, match="instead of 0000"):
        found.days()
    del server.files["ml-32m.zip.md5"]
    found.days()
    assert "no checksum at" in caplog.text
    assert published


def test_archive_that_is_cut_short_leaves_no_data(tmp_path: Path) -> None:
    whole = archive({"ml/ratings.csv": bytes(range(256)) * 4096})
    (tmp_path / "ml.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"ml\.zip is not a whole zip archive"):
        unpack(tmp_path / "ml.zip", tmp_path / "ml")
    assert names(tmp_path) == ["ml.zip"]


def test_archive_with_an_entry_for_its_own_folder_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "ml.zip").write_bytes(archive({"./": b"", "./ml/ratings.csv": b"x"}))
    unpack(tmp_path / "ml.zip", tmp_path / "ml")
    assert names(tmp_path / "ml") == ["ratings.csv"]


def test_archive_with_a_flipped_bit_leaves_no_data(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("ml/ratings.csv", b"0123456789" * 100)
    broken = bytearray(content.getvalue())
    broken[500] ^= 1
    (tmp_path / "ml.zip").write_bytes(broken)
    with pytest.raises(SourceError, match="Bad CRC-32"):
        unpack(tmp_path / "ml.zip", tmp_path / "ml")
    assert names(tmp_path) == ["ml.zip"]


def _link(packed: zipfile.ZipFile) -> None:
    link = zipfile.ZipInfo("ml/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    packed.writestr(link, "/etc")


@pytest.mark.parametrize(
    "add",
    [
        lambda packed: packed.writestr("../evil", "x"),
        lambda packed: packed.writestr("ml/../../evil", "x"),
        lambda packed: packed.writestr("/tmp/evil", "x"),
        lambda packed: packed.writestr("C:/evil", "x"),
        _link,
    ],
)
def test_archive_that_would_write_elsewhere_is_refused(tmp_path: Path, add: Callable[[zipfile.ZipFile], None]) -> None:
    with zipfile.ZipFile(tmp_path / "ml.zip", "w") as packed:
        packed.writestr("ml/good", "x")
        add(packed)
    with pytest.raises(SourceError, match="would leave its folder: not unpacked"):
        unpack(tmp_path / "ml.zip", tmp_path / "ml")
    assert names(tmp_path) == ["ml.zip"]


def test_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ml.zip").write_bytes(archive({"other/ratings.csv": b"x"}))
    with pytest.raises(SourceError, match=r"holds \['other'\] instead of a folder ml"):
        unpack(tmp_path / "ml.zip", tmp_path / "ml")
    assert names(tmp_path) == ["ml.zip"]


def test_unknown_preset_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"RECSYS_SOURCE: no download preset 'ml-9'; there are ml-100k, ml-1m, "):
        open_preset("ml-9", tmp_path)
    assert open_preset("ml-25m", tmp_path).directory == tmp_path / "ml-25m"
    assert isinstance(open_preset("ml-25m", tmp_path), Source)

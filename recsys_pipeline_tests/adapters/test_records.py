"""The reader of text: records over lines, and what one bad line costs."""

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_pipeline.adapters.sources import records
from recsys_pipeline.adapters.sources.records import MAX_RECORD_BYTES, UNCLOSED, RecordFile, fields_of
from recsys_pipeline.core.errors import SourceError


def read(path: Path, content: bytes, **options) -> list[tuple[int, str | None, str | None]]:
    path.write_bytes(content)
    return list(RecordFile(path, **options).rows())


def test_a_record_is_a_line_and_blank_lines_are_none(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbfa,1\r\n\r\n\nb,2\nc,3"
    assert read(tmp_path / "r", content) == [(1, "a,1", None), (4, "b,2", None), (5, "c,3", None)]


def test_old_line_ends_of_a_carriage_return_alone_are_line_ends(tmp_path: Path) -> None:
    assert read(tmp_path / "r", b"a,1\rb,2\r") == [(1, "a,1", None), (2, "b,2", None)]


def test_line_breaks_inside_quotes_belong_to_the_field(tmp_path: Path) -> None:
    content = b'1,"two\nlines, ""here""",x\r\n2,"\r\n\r\n"\r\n3,plain\r\n'
    found = read(tmp_path / "r", content, quoted_by=",")
    assert found == [(1, '1,"two\nlines, ""here""",x', None), (3, '2,"\r\n\r\n"', None), (6, "3,plain", None)]
    assert fields_of(found[0][1] or "", ",") == ["1", 'two\nlines, "here"', "x"]


@pytest.mark.parametrize(
    ("stray", "why"),
    [
        (b'"never closed,2', UNCLOSED),
        (b'7,"never closed', UNCLOSED),
        (b'7,5" pipe', None),
        (b'"Weird Al" Y,2', None),
    ],
)
def test_a_stray_quote_costs_its_own_line_at_most(tmp_path: Path, stray: bytes, why: str | None) -> None:
    content = b'1,a\n2,"b"\n' + stray + b'\n4,"d"\n' + b"".join(b"%d,e\n" % at for at in range(5, 3000))
    found = read(tmp_path / "r", content, quoted_by=",", n_fields=2)
    assert [row for row, _, _ in found] == list(range(1, 3000))
    assert [(row, defect) for row, _, defect in found if defect] == ([(3, why)] if why else [])


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"caf\xe9,1", "the line is not utf-8 (byte 0xe9 at position 4): set encoding"),
        (b"a\0b,1", "the line holds zero bytes or is not utf-8: set encoding"),
        (b"a\rb,1", "a carriage return inside the line"),
        (b"x" * (MAX_RECORD_BYTES + 1), "the line is longer than 2 MiB"),
        (b"x" * (3 * MAX_RECORD_BYTES), "the line is longer than 2 MiB"),
    ],
)
def test_one_bad_line_costs_one_line(tmp_path: Path, bad: bytes, why: str) -> None:
    found = read(tmp_path / "r", b"\x01a,1\n" + bad + b"\nc,3\n", quoted_by=",")
    assert found == [(1, "\x01a,1", None), (2, None, why), (3, "c,3", None)]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "gb18030"])
def test_text_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    text = 'é,1\r\n"ü\nö",2\r\n'
    found = read(tmp_path / "r", text.encode(encoding), encoding=encoding, quoted_by=",")
    assert found == [(1, "é,1", None), (2, '"ü\nö",2', None)]


def test_bytes_that_an_encoding_lacks_cost_their_line(tmp_path: Path) -> None:
    found = read(tmp_path / "r", b"a,1\nb\x81,2\nc,3\n", encoding="cp1252")
    assert [(row, defect is None) for row, _, defect in found] == [(1, True), (2, False), (3, True)]


def test_utf_16_that_is_taken_for_utf_8_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r'is UTF-16: set encoding = "utf-16"'):
        read(tmp_path / "r", "a,1\n".encode("utf-16"))


def test_a_packed_file_that_was_cut_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b"%d,a\n" % at for at in range(50_000)))
    with pytest.raises(SourceError, match=r"r\.gz cannot be read to its end"):
        read(tmp_path / "r.gz", whole[: len(whole) // 2])


FIELDS = st.text(alphabet='ab,"\n\ré', max_size=5)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(FIELDS.filter(bool), FIELDS), min_size=1, max_size=12),
    ending=st.sampled_from(["\n", "\r\n"]),
    block=st.integers(1, 40),
)
def test_what_a_csv_writer_writes_is_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[tuple[str, str]], ending: str, block: int
) -> None:
    monkeypatch.setattr(records, "BLOCK_BYTES", block)
    text = "".join(",".join('"' + field.replace('"', '""') + '"' for field in row) + ending for row in rows)
    found = read(tmp_path / "r", ("first,line" + ending + text).encode(), quoted_by=",", n_fields=2)
    assert [tuple(fields_of(line or "", ",")) for _, line, _ in found[1:]] == rows
    assert [defect for _, _, defect in found if defect] == []

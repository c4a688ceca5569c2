"""Text files as a stream of records (RFC 4180), each with its line number, so that one bad line costs one line.

A record is a line, or the lines that a field in double quotes goes over. Lines that cannot be decoded, hold zero bytes
or a lone carriage return, or are longer than `MAX_RECORD_BYTES`, come with a `defect` and without their text. A quote
that is never closed costs its own line: the lines after it are read as if it were not there.

Blocks of whole lines are decoded and split at once; only lines of which one is odd are looked at one by one.
"""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute

from recsys_pipeline.core.errors import SourceError

pc: Any = pyarrow.compute  # most of its functions are made at import, and its stubs do not know them
BLOCK_BYTES = 2**21
MAX_RECORD_BYTES = 2**21
MAX_RECORD_LINES = 1000
"""A record of more lines is taken for a quote that was never closed."""
RECORDS = pa.schema([("source_row", pa.int64()), ("line", pa.string()), ("defect", pa.string())])
UNCLOSED = "a double quote is opened and not closed; where quotes are plain characters set quote = false"
LONE_RETURN = "a carriage return inside the line"
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class RecordFile:
    """One text file, read anew by each scan; DuckDB takes it as a table (`connection.register`)."""

    path: Path
    encoding: str = "utf-8"
    quoted_by: str = ""
    """The separator, where a field that begins with a double quote ends with one; empty where quotes mean nothing."""
    n_fields: int | None = None
    """Fields in a record, where known: lines that a quote joins to a record of another width stay apart."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The records, by the protocol that DuckDB and Arrow read."""
        return pa.RecordBatchReader.from_batches(RECORDS, self.batches()).__arrow_c_stream__(requested_schema)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The records in order; `source_row` is the 1-based line in which one begins, and blank lines are left out.

        Raises `SourceError` where the file cannot be opened or breaks off.
        """
        row, kept = 1, b""
        for part, is_last in _blocks(self.path, self.encoding):
            block = kept + part
            lines, defects = _decoded(block, self.encoding)
            records, rows, n_lines = self._joined(lines, is_last)
            kept = b"" if n_lines == len(lines) else b"\n".join([*block.split(b"\n")[n_lines:], b""])
            yield self._batch(records, rows, {line: why for line, why in defects.items() if line < n_lines}, row)
            row += n_lines

    def rows(self) -> Iterator[tuple[int, str | None, str | None]]:
        """Line number, text and defect of each record; one of the last two is None."""
        for batch in self.batches():
            yield from zip(*(batch.column(name).to_pylist() for name in RECORDS.names), strict=True)

    def _batch(self, records: pa.Array, rows: np.ndarray, defects: dict[int, str], first_row: int) -> pa.RecordBatch:
        """`rows` and the keys of `defects` count lines from the start of this block."""
        texts = pc.utf8_rtrim(records, "\r") if _any_holds(records, "\r") else records
        defect = pa.nulls(len(texts), pa.string())
        if found := self._defects(texts, rows, defects):
            defect = pa.array([found.get(place) for place in range(len(texts))], pa.string())
            texts = pc.if_else(pc.is_null(defect), texts, pa.scalar(None, pa.string()))
        batch = pa.RecordBatch.from_arrays([pa.array(rows + first_row), texts, defect], schema=RECORDS)
        return batch.filter(pc.not_equal(pc.fill_null(pc.binary_length(texts), 1), 0))

    def _defects(self, texts: pa.Array, rows: np.ndarray, defects: dict[int, str]) -> dict[int, str]:
        """Reason by place in `texts`."""
        found: dict[int, str] = {}
        if _any_holds(texts, "\r"):
            lone = [place for place in _places(pc.match_substring(texts, "\r")) if self._breaks(texts[place].as_py())]
            found |= dict.fromkeys(lone, LONE_RETURN)
        if self.quoted_by and (odd := _odd_quotes(texts)).any():
            opened = _opened(self.quoted_by)
            found |= {int(at): UNCLOSED for at in np.flatnonzero(odd) if opened.fullmatch(texts[int(at)].as_py())}
        # A line inside quotes spoils the record that it belongs to.
        return found | {int(np.searchsorted(rows, line, "right")) - 1: why for line, why in defects.items()}

    def _breaks(self, text: str) -> bool:
        """Whether a carriage return stands outside the quotes."""
        if not self.quoted_by:
            return True
        return "\r" in re.sub(r'"[^"]*"', "", text)

    def _joined(self, lines: pa.Array, is_last: bool) -> tuple[pa.Array, np.ndarray, int]:
        """Records, the place of the first line of each, and how many lines they take: the rest waits for its end."""
        numbers = np.arange(len(lines), dtype=np.int64)
        odd = _odd_quotes(lines) if self.quoted_by else np.zeros(0, bool)
        if not odd.any():
            return lines, numbers, len(lines)
        texts = cast(list[str], lines.to_pylist())
        spans, n_lines = self._spans(texts, np.flatnonzero(odd), is_last)
        if not spans:
            return lines[:n_lines], numbers[:n_lines], n_lines
        inner = np.zeros(len(texts), bool)
        for first, end in spans:
            texts[first] = "\n".join(texts[first:end])
            inner[first + 1 : end] = True
        places = numbers[:n_lines][~inner[:n_lines]]
        return pa.array([texts[place] for place in places], pa.string()), places, n_lines

    def _spans(self, texts: list[str], odd: np.ndarray, is_last: bool) -> tuple[list[tuple[int, int]], int]:
        """Runs of lines that are one record, and where the lines end whose records are known to be whole."""
        opened, spans, taken = _opened(self.quoted_by), [], 0
        for at, first in enumerate(odd.tolist()):
            if first < taken or not opened.fullmatch(texts[first].rstrip("\r")):
                continue
            end = self._end(texts, first, odd[at + 1 : at + 1 + MAX_RECORD_LINES])
            if end is not None:
                spans.append((first, end))
                taken = end
            elif not is_last and _may_go_on(texts, first):
                return spans, first
        return spans, len(texts)

    def _end(self, texts: list[str], first: int, odd: np.ndarray) -> int | None:
        """The line after the record that begins in line `first` with an open quote, where it has an end."""
        complete, n_quotes, n_bytes, before = _complete(self.quoted_by), 1, 0, first
        for last in odd.tolist():
            n_bytes += sum(map(len, texts[before:last]))
            before = last
            if last - first >= MAX_RECORD_LINES or n_bytes > MAX_RECORD_BYTES:
                return None
            n_quotes += 1
            if n_quotes % 2:
                continue
            record = "\n".join(texts[first : last + 1]).rstrip("\r")
            if complete.fullmatch(record):
                return last + 1 if self.n_fields in (None, len(fields_of(record, self.quoted_by))) else None
            if not _opened(self.quoted_by).fullmatch(record):
                return None
        return None


def fields_of(record: str, separator: str) -> list[str]:
    """The fields of a record, those in double quotes without them.

    >>> fields_of('1,"lamp, red",5" pipe', ",")
    ['1', 'lamp, red', '5" pipe']
    """
    cells = re.findall(field_pattern(separator), record + separator)
    quoted = [len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in cells]
    return [cell[1:-1].replace('""', '"') if is_quoted else cell for cell, is_quoted in zip(cells, quoted, strict=True)]


def field_pattern(separator: str) -> str:
    """Regular expression of a field, in double quotes or not, and the separator after it."""
    character = re.escape(separator)
    return f'("(?:[^"]|"")*"|[^{character}]*){character}'


def _opened(separator: str) -> re.Pattern[str]:
    """A text whose last field begins with a quote that is not closed."""
    character = re.escape(separator)
    return re.compile(rf'(?:{_whole_field(character)}{character})*+"[^"]*+(?:""[^"]*+)*+')


def _complete(separator: str) -> re.Pattern[str]:
    """A record all of whose fields are whole."""
    character = re.escape(separator)
    return re.compile(rf"(?:{_whole_field(character)}{character})*+{_whole_field(character)}")


def _whole_field(character: str) -> str:
    return rf'(?:"[^"]*+(?:""[^"]*+)*+"(?={character}|\Z)|(?!")[^{character}]*+)'


def _may_go_on(texts: list[str], first: int) -> bool:
    lines = texts[first:]
    return len(lines) < MAX_RECORD_LINES and sum(map(len, lines)) < MAX_RECORD_BYTES


def _odd_quotes(lines: pa.Array) -> np.ndarray:
    counts = pc.fill_null(pc.count_substring(lines, '"'), 0)
    return (counts.to_numpy(zero_copy_only=False) & 1).astype(bool)


def _any_holds(texts: pa.Array, character: str) -> bool:
    return bool(pc.any(pc.match_substring(texts, character)).as_py())


def _places(mask: pa.Array) -> list[int]:
    return np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False)).tolist()


def _decoded(block: bytes, encoding: str) -> tuple[pa.Array, dict[int, str]]:
    """The lines of a block, and why some of them cannot be used; those are blank here."""
    try:
        lines = pc.split_pattern(pa.array([block.decode()], pa.string()), "\n").flatten()
        if b"\0" not in block and pc.max(pc.binary_length(lines)).as_py() <= MAX_RECORD_BYTES:
            return lines, {}
    except UnicodeDecodeError:
        pass
    texts, defects = [], {}
    for place, line in enumerate(block.split(b"\n")):
        why = _why_unusable(line, encoding)
        if why:
            defects[place] = why
        texts.append("" if why else line.decode())
    return pa.array(texts, pa.string()), defects


def _why_unusable(line: bytes, encoding: str) -> str | None:
    if len(line) > MAX_RECORD_BYTES:
        return f"the line is longer than {MAX_RECORD_BYTES // 2**20} MiB"
    if b"\0" in line:
        # What other encodings cannot decode was replaced by zero bytes.
        return f"the line holds zero bytes or is not {encoding}: set encoding"
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return f"the line is not utf-8 (byte 0x{line[error.start]:02x} at position {error.start + 1}): set encoding"
    return None


def _blocks(path: Path, encoding: str) -> Iterator[tuple[bytes, bool]]:
    """UTF-8 in runs of whole lines without the last line break, and whether it is the last run."""
    rest, pending, ending = b"", None, None
    for part in _utf8_parts(path, encoding):
        if ending is None and (b"\n" in part or b"\r" in part[:-1]):
            ending = b"\n" if b"\n" in part else b"\r"
        chunk = part.replace(b"\r", b"\n") if ending == b"\r" else part
        whole, found, tail = chunk.rpartition(b"\n")
        if not found:
            rest = (rest + tail)[: MAX_RECORD_BYTES + 1]  # more of a line that is too long need not be kept
            continue
        if pending is not None:
            yield pending, False
        pending, rest = rest + whole, tail
    if pending is None or rest:
        if pending is not None:
            yield pending, False
        pending = rest
    yield pending, True


def _utf8_parts(path: Path, encoding: str) -> Iterator[bytes]:
    """The file's bytes as UTF-8, without a byte order mark; raises `SourceError` where it cannot be read to its end."""
    is_utf8 = codecs.lookup(encoding).name == "utf-8"
    decoder = None if is_utf8 else codecs.getincrementaldecoder(encoding)(errors="recsys-zero")
    is_first = True
    try:
        with _opened_file(path) as stream:
            while part := stream.read(BLOCK_BYTES):
                if is_first and decoder is None:
                    if part.startswith(UTF_16_MARKS):
                        raise SourceError(f'{path} is UTF-16: set encoding = "utf-16"')
                    part = part.removeprefix(codecs.BOM_UTF8)
                is_first = False
                yield part if decoder is None else decoder.decode(part).encode()
            if decoder is not None:
                yield decoder.decode(b"", final=True).encode()
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path} cannot be read to its end (was it cut short?): {error}") from error


def _opened_file(path: Path) -> io.BufferedIOBase:
    return gzip.GzipFile(path) if path.suffix == ".gz" else path.open("rb")


def _zero_for_bad(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\0", error.end


codecs.register_error("recsys-zero", _zero_for_bad)

#!/usr/bin/env bash
# Guess: Parquet that one of polars, DuckDB and pyarrow writes from whole numbers, the others read as whole numbers.
# Instead: polars 2 reads JSON ids from 2^63 on, or a relaxed concat of int64 and uint64 ids, as Int128 without
#   being asked, and its Parquet holds them as 16 bytes: DuckDB reads blobs (small ids too), pyarrow and pandas
#   refuse the file.
# Why it matters: one large id in a log changes the file type for everybody down the line: in SQL the ids join to
#   nothing, and as text they are escape sequences. Cast to UInt64 or String before writing.
# Seen with: polars 2.1.0, duckdb 2.0.0, pyarrow 26.0.1; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile polars==2.1.0 duckdb==2.0.0 pyarrow==26.0.1
venv/bin/python - <<'PY'
import duckdb, polars as pl, pyarrow as pa, pyarrow.parquet as pq
signed = pl.DataFrame({"user": [1, 2]})
unsigned = pl.DataFrame({"user": [2**63 + 1]}, schema={"user": pl.UInt64})
both = pl.concat([signed, unsigned], how="vertical_relaxed")
both.write_parquet("users.parquet")
kind, text = duckdb.execute("select typeof(user_), user_::varchar from (select \"user\" as user_ from 'users.parquet')").fetchone()
try:
    said = str(pq.read_table("users.parquet").schema)
except pa.ArrowNotImplementedError as error:
    said = f"refuses: {error}"
print(f"polars {pl.__version__} makes {both.schema['user']} of int64 and uint64, and writes and reads it back: {both['user'].to_list()}")
print(f"DuckDB {duckdb.__version__} reads type {kind}; user 1 as text is {text}")
print(f"pyarrow {pa.__version__} {said}")
with open("log.jsonl", "w") as log:
    log.write('{"user": 1}\n{"user": %d}\n' % (2**63 + 1))
print("from JSON lines polars makes", pl.read_ndjson("log.jsonl").schema["user"])
assert both.schema["user"] == pl.Int128 and kind == "BLOB" and said.startswith("refuses")
PY

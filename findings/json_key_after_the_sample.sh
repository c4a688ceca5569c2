#!/usr/bin/env bash
# Guess: in JSON lines, a key that first appears late in the file becomes a column that is null before, or the read
#   fails.
# Instead: the key is not there at all: DuckDB looks for columns in the first 20,480 lines only, polars in the first
#   100, and both drop what comes later without an error or a warning, even where a query over all lines would need
#   it. pyarrow keeps it.
# Why it matters: a field added to the log last month (a weight, a session, a position) is missing from every row of
#   a history that begins before it. State the columns (`columns =`, `schema =`), or sample everything (`sample_size
#   = -1`, `infer_schema_length=None`).
# Seen with: duckdb 2.0.0, polars 2.1.0, pyarrow 26.0.1; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile duckdb==2.0.0 polars==2.1.0 pyarrow==26.0.1
venv/bin/python - <<'PY'
import duckdb, polars as pl, pyarrow as pa, pyarrow.json as pj
with open("log.jsonl", "w") as log:
    log.writelines('{"user": %d}\n' % n for n in range(30_000))
    log.writelines('{"user": %d, "weight": 5}\n' % n for n in range(1_000))
read = {
    f"DuckDB {duckdb.__version__}": [c[0] for c in duckdb.execute("from read_json('log.jsonl') limit 1").description],
    f"polars {pl.__version__}": pl.read_ndjson("log.jsonl").columns,
    f"pyarrow {pa.__version__}": pj.read_json("log.jsonl").column_names,
}
for library, columns in read.items():
    print(f"{library}: columns {columns}; 'weight' begins at line 30,001 and is {'kept' if 'weight' in columns else 'gone'}")
whole = duckdb.execute("select count(weight) from read_json('log.jsonl', sample_size = -1)").fetchone()[0]
print(f"DuckDB with sample_size = -1 finds {whole} weights; polars with infer_schema_length=None:",
      pl.read_ndjson("log.jsonl", infer_schema_length=None).columns)
assert [columns == ["user", "weight"] for columns in read.values()] == [False, False, True] and whole == 1_000
PY

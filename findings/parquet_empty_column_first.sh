#!/usr/bin/env bash
# Guess: a folder of Parquet days is read alike in any order, and a day in which a column is empty throughout joins
#   the others.
# Instead: a column without any value is written with the type null, and DuckDB, polars and pyarrow take the type of
#   the first file: with the empty day first all three refuse the second day; with the same two files the other way
#   round all three read them.
# Why it matters: a history whose first day has no category yet cannot be read, while every test with a later first
#   day passes; a backfill of one older day breaks what worked yesterday. Write a declared schema (or read with
#   `union_by_name` in DuckDB).
# Seen with: duckdb 2.0.0, polars 2.1.0, pyarrow 26.0.1, pandas 3.1.1; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile duckdb==2.0.0 polars==2.1.0 pyarrow==26.0.1 pandas==3.1.1
venv/bin/python - <<'PY'
import duckdb, pandas as pd, polars as pl, pyarrow as pa, pyarrow.dataset as ds
pd.DataFrame({"item": [1], "category": [None]}).to_parquet("empty.parquet")
pd.DataFrame({"item": [2], "category": ["shoes"]}).to_parquet("full.parquet")
readers = {
    f"DuckDB {duckdb.__version__}": lambda files: len(duckdb.execute(f"from read_parquet({files})").fetchall()),
    f"polars {pl.__version__}": lambda files: pl.read_parquet(files).height,
    f"pyarrow {pa.__version__}": lambda files: ds.dataset(files).to_table().num_rows,
}
def outcome(read, files):
    try:
        return f"{read(files)} rows"
    except (duckdb.Error, pl.exceptions.PolarsError, pa.ArrowException) as error:
        return type(error).__name__
for library, read in readers.items():
    first, last = outcome(read, ["empty.parquet", "full.parquet"]), outcome(read, ["full.parquet", "empty.parquet"])
    print(f"{library}: empty day first: {first}; empty day last: {last}")
    assert first != "2 rows" and last == "2 rows", library
union = duckdb.execute("select count(*) from read_parquet(['empty.parquet', 'full.parquet'], union_by_name = true)").fetchone()[0]
print(f"DuckDB with union_by_name: {union} rows")
assert union == 2
PY

#!/usr/bin/env bash
# Guess: a JSON id that is a number in some lines and text in others is read as text: 12 and "12" are one user, as
#   in polars.
# Instead: the column becomes the type JSON, whose text keeps the quotation marks: `12` and `"12"` are two users,
#   and a cast to varchar does not take the marks off. pyarrow refuses such a file.
# Why it matters: two producers of one log (a backend with numbers, an app with text) halve every history, and no id
#   of the second kind joins to a catalogue. Name the column as varchar: `columns = {user: varchar}` gives 12 twice.
# Seen with: duckdb 2.0.0, polars 2.1.0; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile duckdb==2.0.0 polars==2.1.0
venv/bin/python - <<'PY'
import duckdb, polars as pl
with open("log.jsonl", "w") as log:
    log.write('{"user": 12}\n{"user": "12"}\n{"user": "ann"}\n')
def users(options=""):
    rows = duckdb.execute(f"select typeof(\"user\"), \"user\"::varchar from read_json('log.jsonl'{options})").fetchall()
    return rows[0][0], sorted({text for _, text in rows})
kind, found = users()
_, stated = users(", format = 'newline_delimited', columns = {user: 'varchar'}")
polars_users = sorted(set(pl.read_ndjson("log.jsonl")["user"].to_list()))
print(f"DuckDB {duckdb.__version__} reads type {kind}; its users as text are {found}")
print(f"with the column stated as varchar: {stated}; polars {pl.__version__}: {polars_users}")
assert kind == "JSON" and found == ['"12"', '"ann"', "12"] and stated == polars_users == ["12", "ann"]
PY

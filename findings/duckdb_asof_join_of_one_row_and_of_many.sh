#!/usr/bin/env bash
# Guess: `asof join ... on l.t >= r.t` gives a moment the same right row whether it is asked alone or together with
#   others, and of right rows of one time the last, as pandas' merge_asof, polars' and pyarrow's join_asof do.
# Instead: asked alone (or with a few others) a moment gets the first of the tied rows, asked in a large batch the
#   last: the answer changes with the number of left rows.
# Why it matters: a feature as of a request (one row) differs from the same feature in the training table (many
#   rows) wherever logs have whole seconds, so a parity test passes or fails by its size. Break ties before the
#   join.
# Seen with: duckdb 2.0.0, one thread; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile duckdb==2.0.0
venv/bin/python - <<'PY'
import duckdb
con = duckdb.connect()
con.execute("set threads = 1")
con.execute("create table moments as select 10 * n + 9 as t from range(500) s(n)")
con.execute("create table prices as select 10 * (n // 4) as t, n % 4 as place from range(2000) s(n)")
def places(moments):
    asked = f"(from moments order by t limit {moments})"
    return dict(con.execute(f"select l.t, place from {asked} l asof join prices r on l.t >= r.t").fetchall())
alone, few, many = places(1), places(20), places(500)
print(f"DuckDB {duckdb.__version__}: each moment has four prices of one second before it, in places 0 to 3")
print(f"the moment t = 9 gets place {alone[9]} asked alone, {few[9]} among 20 moments, {many[9]} among 500")
print(f"all of the 20: {sorted(set(few.values()))}; all of the 500: {sorted(set(many.values()))}")
assert set(few.values()) == {alone[9]} == {0} and set(many.values()) == {3}
PY

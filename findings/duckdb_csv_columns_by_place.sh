#!/usr/bin/env bash
# Guess: with `header = true` the columns of several CSV files are found by their names, and stating `columns =
#   {...}` only fixes types.
# Instead: where nothing (or only types, or all_varchar) is stated, columns of a second file in another order are
#   found by name; with `columns =` the names are laid over the file by place: user and item change sides in the
#   second file, without a warning.
# Why it matters: the step from a prototype (sniffed) to a robust read (stated schema) swaps users and items in the
#   files of one exporter; ids of the same kind hide it. Use `types =` with `header = true`.
# Seen with: duckdb 2.0.0; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile duckdb==2.0.0
venv/bin/python - <<'PY'
import duckdb
with open("day1.csv", "w") as one, open("day2.csv", "w") as two:
    one.write("customer,item,t\n1,100,5\n")
    two.write("item,customer,t\n200,2,6\n")
def rows(options):
    return duckdb.execute(f"select customer, item from read_csv(['day1.csv', 'day2.csv'], header = true{options}) order by t").fetchall()
sniffed = rows("")
typed = rows(", types = {'customer': 'bigint', 'item': 'bigint'}")
stated = rows(", columns = {'customer': 'bigint', 'item': 'bigint', 't': 'bigint'}")
print(f"DuckDB {duckdb.__version__}: (customer, item) of two days whose headers stand in another order")
print(f"  sniffed {sniffed}; types stated {typed}; columns stated {stated}")
assert sniffed == typed == [(1, 100), (2, 200)] and stated == [(1, 100), (200, 2)]
PY

#!/usr/bin/env bash
# Guess: `last(item order by t)` is the last element of `list(item order by t)`: the aggregate sorts its rows and
#   takes the end.
# Instead: of rows that share the last time, `last(... order by t)` gives the first and the list ends with the last;
#   the window `last_value` over the whole partition gives the last too, `row_number() over (order by t desc) = 1`
#   the first.
# Why it matters: five ways to write "the latest event of each user" in one dialect give two answers wherever a log
#   has whole seconds; a leave-last-out split moves when somebody tidies the query. Put a tie key into the order.
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
con.execute("create table log as select u, i, case when i = 0 then 5 else 9 end as t from range(50) u(u), range(4) i(i) order by u, i")
whole = "(partition by u order by t rows between unbounded preceding and unbounded following)"
ways = {
    "last(i order by t)": "select last(i order by t) from log group by u",
    "arg_max(i, t)": "select arg_max(i, t) from log group by u",
    "row_number() ... order by t desc": "select i from log qualify row_number() over (partition by u order by t desc) = 1",
    "list(i order by t)[-1]": "select list(i order by t)[-1] from log group by u",
    "last_value(i) over (...)": f"select last_value(i) over {whole} from log",
}
taken = {way: sorted({row[0] for row in con.execute(sql).fetchall()}) for way, sql in ways.items()}
print(f"DuckDB {duckdb.__version__}: each user has items 1, 2, 3 at the same last second; the one taken is")
for way, items in taken.items():
    print(f"  {items} by {way}")
assert list(taken.values()) == [[1], [1], [1], [3], [3]]
PY

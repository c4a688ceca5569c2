#!/usr/bin/env bash
# Guess: DuckDB fetches a timestamptz as a datetime with `datetime.timezone.utc` or zoneinfo; if it needs a package,
#   pip brings it.
# Instead: `fetchall()` raises and asks for pytz, which DuckDB does not depend on and pandas 3 no longer brings.
#   `.df()` and Arrow work.
# Why it matters: a service that ran for years because pandas 2 brought pytz along fails at its first time with a
#   zone when pandas is renewed, and never in a test whose environment has pytz by chance. Fetch `epoch_us(t)`, or
#   depend on pytz.
# Seen with: duckdb 2.0.0, pandas 3.1.1; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile duckdb==2.0.0 pandas==3.1.1
venv/bin/python - <<'PY'
import importlib.util, duckdb, pandas as pd
query = "select timestamptz '2026-03-01 10:00:00+00' as t"
assert importlib.util.find_spec("pytz") is None, "pytz came along after all"
try:
    duckdb.execute(query).fetchall()
    said = ""
except duckdb.Error as error:
    said = str(error).splitlines()[0]
print(f"DuckDB {duckdb.__version__} with pandas {pd.__version__}, no pytz: fetchall says {said!r}")
print("as a frame it is", duckdb.execute(query).df().t[0], "and as epoch_us", duckdb.execute(f"select epoch_us(t) from ({query})").fetchone()[0])
assert "pytz" in said
PY

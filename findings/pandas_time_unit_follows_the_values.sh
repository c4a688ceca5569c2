#!/usr/bin/env bash
# Guess: pd.to_datetime gives one unit for one kind of column (nanoseconds once, microseconds in pandas 3).
# Instead: the unit depends on the values: epoch seconds give microseconds where all are whole and nanoseconds where
#   one has a fraction; ISO text gives nanoseconds from the seventh digit on. `astype("int64")` is then a
#   thousandfold of the day before.
# Why it matters: a time split, a decay or a join over two days of one feed is nonsense without an error, and only
#   on days with a fraction. Use `.dt.as_unit("us")` before any cast.
# Seen with: pandas 3.1.1; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile pandas==3.1.1
venv/bin/python - <<'PY'
import pandas as pd
moment = 1_772_366_400
columns = {
    "whole seconds": pd.to_datetime(pd.Series([moment]), unit="s"),
    "seconds as floats, whole": pd.to_datetime(pd.Series([float(moment), None]), unit="s"),
    "seconds as floats, one with .5": pd.to_datetime(pd.Series([float(moment), moment + 0.5]), unit="s"),
    "ISO text": pd.to_datetime(pd.Series(["2026-03-01T12:00:00"])),
    "ISO text, seven digits": pd.to_datetime(pd.Series(["2026-03-01T12:00:00.0000000"])),
}
units = {}
for name, column in columns.items():
    units[name] = column.dt.unit
    print(f"pandas {pd.__version__}, {name}: {column.dt.unit}, as an integer {column.dropna().astype('int64').iloc[0]:,}")
assert list(units.values()) == ["us", "us", "ns", "us", "ns"], units
PY

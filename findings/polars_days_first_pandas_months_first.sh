#!/usr/bin/env bash
# Guess: libraries that guess a date format either agree on 01/12/2010 or refuse it as ambiguous.
# Instead: polars reads it as 1 December, pandas as 12 January, both without a warning; and of a column that goes on
#   with 13/02/2010 pandas with errors="coerce" makes missing times of all days after the twelfth, which is a silent
#   60% of a month.
# Why it matters: exports of European shops are read eleven months apart by two stages of one pipeline; a split by
#   time then trains on the future. State the format.
# Seen with: polars 2.1.0, pandas 3.1.1; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile polars==2.1.0 pandas==3.1.1
venv/bin/python - <<'PY'
import warnings, pandas as pd, polars as pl
warnings.simplefilter("error")
one = ["01/12/2010 08:26"]
by_polars, by_pandas = pl.Series(one).str.to_datetime()[0], pd.to_datetime(one)[0]
month = [f"{day:02}/03/2010 08:26" for day in range(1, 32)]
missing = int(pd.to_datetime(month, errors="coerce").isna().sum())
months = len(set(pd.to_datetime(month, errors="coerce").dropna().month))
kept = pl.Series(month).str.to_datetime(strict=False)
print(f"{one[0]}: polars {pl.__version__} reads {by_polars:%d %B}, pandas {pd.__version__} reads {by_pandas:%d %B}")
print(f"31 days of March, day first: pandas leaves {missing} without a time and lays the rest over {months} months;",
      f"polars leaves {kept.null_count()} and has {kept.dt.month().n_unique()} month")
assert (by_polars.month, by_pandas.month) == (12, 1) and (missing, months) == (19, 12) and kept.null_count() == 0
PY

#!/usr/bin/env bash
# Guess: an item whose score is NaN never leads a list sorted by score, and it does not matter in what form the
#   scores reach the engine.
# Instead: DuckDB and polars hold NaN above every number, so sort, top_k and `score > 2` let it in first, while
#   polars' max and arg_max skip it; DuckDB reads the NaN of a pandas frame as null, so one query on one set of
#   scores gives two top lists. pyarrow and pandas put NaN last.
# Why it matters: a model that has diverged for a few items recommends exactly these to everybody, in the SQL path
#   only, and a check that the best score is finite passes in polars. Refuse NaN before ranking.
# Seen with: duckdb 2.0.0, polars 2.1.0, pyarrow 26.0.1, pandas 3.1.1; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile duckdb==2.0.0 polars==2.1.0 pyarrow==26.0.1 pandas==3.1.1
venv/bin/python - <<'PY'
import duckdb, pandas as pd, polars as pl, pyarrow as pa
scores = {"item": ["a", "b", "c", "d"], "score": [1.0, float("nan"), 3.0, 2.0]}
as_frame, as_arrow, as_polars = pd.DataFrame(scores), pa.table(scores), pl.DataFrame(scores)
def duck_top(name):
    return [row[0] for row in duckdb.execute(f"select item from {name} order by score desc limit 2").fetchall()]
top = {
    f"DuckDB {duckdb.__version__}, Arrow table": duck_top("as_arrow"),
    f"DuckDB {duckdb.__version__}, pandas frame": duck_top("as_frame"),
    f"polars {pl.__version__}, top_k": as_polars.top_k(2, by="score")["item"].to_list(),
    f"pyarrow {pa.__version__}": as_arrow.sort_by([("score", "descending")])["item"].to_pylist()[:2],
    f"pandas {pd.__version__}": as_frame.nlargest(2, "score")["item"].tolist(),
}
for where, items in top.items():
    print(f"{where}: the top two are {items}")
best, above = as_polars["score"].max(), as_polars.filter(pl.col("score") > 2)["item"].to_list()
print(f"polars says that the best score is {best} and that those above 2 are {above}; b has no score")
assert list(top.values()) == [["b", "c"], ["c", "d"], ["b", "c"], ["c", "d"], ["c", "d"]] and best == 3.0 and "b" in above
PY

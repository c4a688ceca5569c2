#!/usr/bin/env bash
# Guess: whole numbers in JSON lines are read exactly or refused: one id too large for int64 does not touch the
#   others.
# Instead: pyarrow turns the whole column into doubles as soon as one id is 2^63 or more, so ids that were exact
#   before are rounded and neighbours become one user; DuckDB widens to hugeint and does the same only from 2^64 on.
#   polars stays exact. No warning.
# Why it matters: hashed ids are often unsigned 64-bit numbers: half of them are above 2^63, so the last bits of all
#   ids go, and neighbours meet. State the type (uint64, varchar) before the first read.
# Seen with: pyarrow 26.0.1, duckdb 2.0.0, polars 2.1.0; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile pyarrow==26.0.1 duckdb==2.0.0 polars==2.1.0
venv/bin/python - <<'PY'
import duckdb, polars as pl, pyarrow as pa, pyarrow.json as pj
def read(name, largest):
    with open(name, "w") as log:
        log.writelines('{"user": %d}\n' % user for user in (2**53, 2**53 + 1, largest))
    return {
        f"pyarrow {pa.__version__}": pj.read_json(name)["user"].to_pylist(),
        f"DuckDB {duckdb.__version__}": [row[0] for row in duckdb.execute(f"select \"user\" from '{name}'").fetchall()],
        f"polars {pl.__version__}": pl.read_ndjson(name)["user"].to_list(),
    }
users = {}
for power, largest in ((62, 2**62), (63, 2**63 + 5), (64, 2**64 + 5)):
    for library, found in read(f"to_{power}.jsonl", largest).items():
        users[library.split()[0], power] = len(set(found))
        print(f"{library}, three users, the largest about 2^{power}: {len(set(found))} users, {found[0]!r} and {found[1]!r}")
assert [users["pyarrow", power] for power in (62, 63, 64)] == [3, 2, 2]
assert [users["DuckDB", power] for power in (62, 63, 64)] == [3, 3, 2]
assert [users["polars", power] for power in (62, 63, 64)] == [3, 3, 3]
PY

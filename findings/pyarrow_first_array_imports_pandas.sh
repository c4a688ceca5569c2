#!/usr/bin/env bash
# Guess: pyarrow alone makes Arrow arrays; pandas is loaded where somebody asks for a data frame.
# Instead: the first `pa.array(["view", "click"])` of a plain list imports pandas, where it is installed; importing pyarrow
#   and its Parquet reader, and building a schema, does not.
# Why it matters: one constant array at the top of a module makes every command of a tool some 0.3 to 0.5 s slower, and no
#   import line says why. Make such arrays inside the functions that use them.
# Seen with: pyarrow 26.0.1, pandas 3.1.1; 2026-12-01.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile pyarrow==26.0.1 pandas==3.1.1
venv/bin/python - <<'PY'
import sys, time
import pyarrow as pa, pyarrow.parquet
schema = pa.schema({"item_id": pa.string()})
before, started = "pandas" in sys.modules, time.perf_counter()
pa.array(["view", "click"])
after, seconds = "pandas" in sys.modules, time.perf_counter() - started
print(f"pyarrow {pa.__version__}: pandas is loaded after the imports and a schema: {before}; after one array of two words: {after}, {seconds:.2f} s later")
assert not before and after
PY

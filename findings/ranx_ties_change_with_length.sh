#!/usr/bin/env bash
# Guess: ranx orders equal scores by one rule (as they come, or by name) that holds for lists of any length.
# Instead: up to 15 items ties stay as they come; from 16 on they are scrambled in a way that depends on the length:
#   the first of 20 tied items stands at place 19, of 100 at 73, of 1,000 at 657.
# Why it matters: ndcg and mrr of models that tie change with the depth of the run that is handed over, though the
#   cut-off stays at 10: store 100 instead of 15 places and the figures move. Break ties before building a Run.
# Seen with: ranx 0.3.21, numba 0.68.1; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ranx==0.3.21 numba==0.68.1
venv/bin/python - <<'PY'
import warnings
from importlib.metadata import version
warnings.simplefilter("ignore")
from ranx import Qrels, Run, evaluate
def place_of_first(length):
    items = [f"item{n:04d}" for n in range(length)]
    return round(1 / evaluate(Qrels({"user": {items[0]: 1}}), Run({"user": dict.fromkeys(items, 1.0)}), "mrr"))
places = {length: place_of_first(length) for length in (5, 10, 15, 16, 20, 100, 1000)}
print(f"ranx {version('ranx')}: the place of the first item among n that all have one score")
for length, place in places.items():
    print(f"  n = {length}: place {place}")
assert places[5] == places[10] == places[15] == 1 and min(places[n] for n in (16, 20, 100, 1000)) > 1
PY

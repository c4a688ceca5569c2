#!/usr/bin/env bash
# Guess: np.sort and np.argsort put NaN at the end for every kind of float, so what comes before it is in order.
# Instead: in bfloat16 of ml_dtypes NaN ends up among the numbers (place 1 of 199), and these are out of order,
#   without a warning. The same values in float16 or float32 sort as they should.
# Why it matters: a top-k over bfloat16 scores with one NaN is not the top k of the other scores, silently. Cast to
#   float32 before ranking.
# Seen with: ml_dtypes 0.6.0, numpy 2.4.6; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ml-dtypes==0.6.0 numpy==2.4.6
venv/bin/python - <<'PY'
import ml_dtypes, numpy as np
scores = np.random.default_rng(0).permutation(200).astype(np.float32)
scores[100] = np.nan
def in_order(kind):
    ranked = np.sort(scores.astype(kind)).astype(np.float32)
    numbers = ranked[~np.isnan(ranked)]
    return bool((np.diff(numbers) >= 0).all()), int(np.flatnonzero(np.isnan(ranked))[0])
for kind in (np.float16, np.float32, ml_dtypes.bfloat16):
    ordered, place = in_order(kind)
    print(f"numpy {np.__version__}, ml_dtypes {ml_dtypes.__version__}, {np.dtype(kind).name}: the numbers are "
          f"{'in order' if ordered else 'not in order'}; NaN is at place {place} of 199")
assert in_order(np.float16) == in_order(np.float32) == (True, 199) and not in_order(ml_dtypes.bfloat16)[0]
PY

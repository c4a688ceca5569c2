#!/usr/bin/env bash
# Guess: the PSI of two samples of a score is near 0 where both come from one distribution and large where they do not
#   even overlap.
# Instead: without a combiner each different value is its own bin, and a value that only one sample has counts nothing:
#   N(0, 1) against N(100, 1) is exactly 0.0, as is 3,3,3 against 1,1,2. In ten bins it is above 2.
# Why it matters: a drift alarm on scores, norms or prices that calls this on raw values can never ring.
# Seen with: toad 0.1.7; 2026-12-01.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile toad==0.1.7 numpy==1.26.4 pandas==2.3.3 scikit-learn==1.5.2
venv/bin/python - <<'PY'
import warnings
warnings.simplefilter("ignore")
import numpy as np, pandas as pd, toad
draws = np.random.default_rng(0)
here, far = pd.Series(draws.normal(size=1000)), pd.Series(draws.normal(100, 1, 1000))
raw = toad.metrics.PSI(here, far)
edges = np.quantile(here, np.linspace(0, 1, 11)[1:-1])
binned = toad.metrics.PSI(pd.Series(np.digitize(here, edges)), pd.Series(np.digitize(far, edges)))
whole = toad.metrics.PSI(pd.Series([3, 3, 3]), pd.Series([1, 1, 2]))
print(f"toad {toad.__version__}: PSI of N(0, 1) against N(100, 1): raw values {raw}, tenths of the first {binned:.1f}; of 3,3,3 against 1,1,2: {whole}")
assert raw == 0.0 and whole == 0.0
PY

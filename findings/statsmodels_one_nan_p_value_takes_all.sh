#!/usr/bin/env bash
# Guess: of several p-values corrected together, one that is NaN (a model without a comparable user) is left out or
#   stays NaN alone.
# Instead: with Benjamini-Hochberg, Benjamini-Yekutieli, Hommel and Hochberg every corrected p-value comes back NaN, in
#   silence, while the first answer of the same call still rejects three, one, none and two of them; Bonferroni and Holm
#   leave NaN where it was, and count it as one of the comparisons.
# Why it matters: on a leaderboard of models one that has no figure empties the column of corrected p-values, and
#   `p < 0.05` and `rejected` disagree about every other model.
# Seen with: statsmodels 0.15.0; 2026-12-01.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile statsmodels==0.15.0 numpy==2.4.6 scipy==1.17.1
venv/bin/python - <<'PY'
import warnings
warnings.simplefilter("ignore")
import numpy as np, statsmodels
from statsmodels.stats.multitest import multipletests
values = [0.001, 0.01, 0.02, np.nan, 0.6]
corrected = {name: multipletests(values, method=name)[:2] for name in ("bonferroni", "holm", "fdr_bh", "fdr_by", "hommel", "simes-hochberg")}
for name, (rejected, p) in corrected.items():
    print(f"statsmodels {statsmodels.__version__}, {name} of {values}: {int(np.sum(rejected))} rejected, {int(np.isnan(p).sum())} of 5 are NaN")
lost = {name: int(np.isnan(p).sum()) for name, (_, p) in corrected.items()}
assert lost == {"bonferroni": 1, "holm": 1, "fdr_bh": 5, "fdr_by": 5, "hommel": 5, "simes-hochberg": 5}
assert [int(corrected[name][0].sum()) for name in ("fdr_bh", "fdr_by", "hommel", "simes-hochberg")] == [3, 1, 0, 2]
PY

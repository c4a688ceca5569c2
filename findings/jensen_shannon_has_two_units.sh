#!/usr/bin/env bash
# Guess: the Jensen-Shannon distance is a number from 0 to 1, whichever drift library computes it.
# Instead: of two samples that do not overlap evidently says 0.83 (natural logarithm, whose bound is the root of ln 2),
#   nannyml 1.0 (logarithm to base 2). Both call 0.1 drift by default.
# Why it matters: a limit tuned in one and taken over to the other is a fifth too strict or too lax, and 0.83 reads as
#   "some overlap" where there is none.
# Seen with: evidently 0.7.23, nannyml 0.13.1; 2026-12-01.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile evidently==0.7.23 nannyml==0.13.1 pandas==2.3.3
NML_DISABLE_USAGE_LOGGING=1 venv/bin/python - <<'PY'
import warnings
warnings.simplefilter("ignore")
import math
from importlib.metadata import version
import nannyml, numpy as np, pandas as pd
from evidently.legacy.calculations.stattests import jensenshannon_stat_test
from evidently.legacy.core import ColumnType
nannyml.disable_usage_logging()
draws = np.random.default_rng(0)
before, after = draws.normal(size=1000), draws.normal(50, 1, 1000)
one = jensenshannon_stat_test(pd.Series(before), pd.Series(after), ColumnType.Numerical, 0.1).drift_score
calculator = nannyml.UnivariateDriftCalculator(column_names=["x"], continuous_methods=["jensen_shannon"], chunk_size=1000)
calculator.fit(pd.DataFrame({"x": before}))
rows = calculator.calculate(pd.DataFrame({"x": after})).filter(period="analysis").to_df()
other = float(rows["x", "jensen_shannon", "value"].iloc[0])
print(f"Jensen-Shannon distance of N(0, 1) and N(50, 1): evidently {version('evidently')} {one:.3f}, nannyml {version('nannyml')} {other:.3f}")
assert abs(one - math.sqrt(math.log(2))) < 0.01 and abs(other - 1) < 0.01
PY

#!/usr/bin/env bash
# Guess: ratings outside the scale of a Reader (1 to 5 unless said) raise an error, or the scale follows the data.
# Instead: they are taken as they are for training, and each prediction is clipped to 1..5: on ratings of 1 to 10
#   that follow the item exactly the RMSE is over three times that with the scale stated, and no prediction is above
#   5. No warning.
# Why it matters: on a 10-point source a comparison of models is one of clipped models, and the best items all tie
#   at 5.0, so that no list can rank them. State rating_scale.
# Seen with: scikit-surprise 1.1.5; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile scikit-surprise==1.1.5 pandas==2.3.3
venv/bin/python - <<'PY'
import pandas as pd, surprise
from surprise import BaselineOnly, Dataset, Reader, accuracy
ratings = pd.DataFrame([(user, item, item + 1.0) for user in range(30) for item in range(10)], columns=["user", "item", "rating"])
def trained(reader):
    data = Dataset.load_from_df(ratings, reader).build_full_trainset()
    found = BaselineOnly(verbose=False).fit(data).test(data.build_testset())
    return accuracy.rmse(found, verbose=False), max(p.est for p in found), len({p.iid for p in found if p.est == 5.0})
plain, stated = trained(Reader()), trained(Reader(rating_scale=(1, 10)))
print(f"surprise {surprise.__version__}, ratings 1 to 10: RMSE {plain[0]:.2f} with the default reader, {stated[0]:.2f} with the scale stated")
print(f"largest prediction {plain[1]:.2f} and {stated[1]:.2f}; items tied at exactly 5.0: {plain[2]} and {stated[2]}")
assert plain[1] == 5.0 and plain[0] > 3 * stated[0] and plain[2] >= 5 and stated[2] == 0
PY

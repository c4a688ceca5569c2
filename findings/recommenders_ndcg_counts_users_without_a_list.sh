#!/usr/bin/env bash
# Guess: the metrics of one evaluation library are means over the same users.
# Instead: of two test users of whom only the first got a list, and that a perfect one, map_at_k and recall_at_k are 1.0
#   (users in both tables) and ndcg_at_k is 0.5 (users in the test table).
# Why it matters: a model that answers for half of the users looks perfect by recall and poor by NDCG in the same row of
#   a table; models with different coverage cannot be compared by either alone.
# Seen with: recommenders 1.2.1; 2026-12-01.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile recommenders==1.2.1
venv/bin/python - <<'PY'
import warnings
warnings.simplefilter("ignore")
from importlib.metadata import version
import pandas as pd
from recommenders.evaluation.python_evaluation import map_at_k, ndcg_at_k, recall_at_k
test = pd.DataFrame({"userID": [1, 1, 1, 2], "itemID": [1, 2, 3, 9], "rating": 1.0})
lists = pd.DataFrame({"userID": [1, 1, 1], "itemID": [1, 2, 3], "prediction": [0.9, 0.8, 0.7]})
found = {metric.__name__: float(metric(test, lists, k=10)) for metric in (map_at_k, recall_at_k, ndcg_at_k)}
print(f"recommenders {version('recommenders')}, two test users, a perfect list for one of them: {found}")
assert found == {"map_at_k": 1.0, "recall_at_k": 1.0, "ndcg_at_k": 0.5}
PY

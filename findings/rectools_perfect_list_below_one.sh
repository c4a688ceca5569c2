#!/usr/bin/env bash
# Guess: NDCG@10 of a list that begins with all the items a user took is 1.0, in every library.
# Instead: rectools divides by the gain of ten hits even for a user who took one item: a perfect list has 0.220 at k
#   = 10 and 1.0 at k = 1; `divide_by_achievable=True` gives the usual figure and is off by default.
# Why it matters: its NDCG cannot be set beside that of trec_eval, RecBole or a paper, falls as k grows, and
#   differences between models shrink with the number of held-out items: a leave-one-out figure is never above .22.
# Seen with: rectools 0.19.0; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile rectools==0.19.0
venv/bin/python - <<'PY'
from importlib.metadata import version
import pandas as pd
from rectools.metrics import NDCG
took = pd.DataFrame({"user_id": [1], "item_id": [0]})
lists = pd.DataFrame({"user_id": 1, "item_id": range(10), "rank": range(1, 11)})
plain = {k: round(float(NDCG(k).calc(lists, took)), 3) for k in (1, 5, 10)}
usual = {k: round(float(NDCG(k, divide_by_achievable=True).calc(lists, took)), 3) for k in (1, 5, 10)}
print(f"rectools {version('rectools')}: the one item that the user took is in first place")
print(f"  NDCG@k by k: {plain}; with divide_by_achievable=True: {usual}")
assert plain == {1: 1.0, 5: 0.339, 10: 0.22} and set(usual.values()) == {1.0}
PY

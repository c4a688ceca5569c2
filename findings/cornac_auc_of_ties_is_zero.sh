#!/usr/bin/env bash
# Guess: a model that gives all items one score has AUC 0.5: a tie counts half.
# Instead: cornac's AUC counts a tie as a loss: the constant model has 0.0, worse than any random order, and MAP
#   beside it puts the liked item in the last place.
# Why it matters: models with coarse scores (counts, popularity, rules, int8) are marked down against those with
#   fine ones, and 1 - AUC of a reversed model does not hold. Compare AUC only among models without ties, or add a
#   tie key.
# Seen with: cornac 3.0.1; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile cornac==3.0.1
venv/bin/python - <<'PY'
import cornac, numpy as np
from cornac.metrics import AUC, MAP
items, others = np.arange(4), np.array([0, 1, 2])
def value(metric, scores):
    return float(metric.compute(item_indices=items, pd_scores=np.array(scores), gt_pos=np.array([3]), gt_neg=others))
auc = {name: value(AUC(), scores) for name, scores in {"above": [0, 0, 0, 1.0], "equal": [1.0] * 4, "below": [1.0, 1, 1, 0]}.items()}
tied_map = value(MAP(), [1.0] * 4)
print(f"cornac {cornac.__version__}: one liked item among four; AUC with its score above, equal to and below the others: {list(auc.values())}")
print(f"MAP with equal scores: {tied_map} (1/4 is the last place; the mean over orders is {np.mean(1 / np.arange(1, 5)):.3f})")
assert auc == {"above": 1.0, "equal": 0.0, "below": 0.0} and tied_map == 0.25
PY

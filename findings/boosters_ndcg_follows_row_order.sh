#!/usr/bin/env bash
# Guess: a ranker that has learned nothing (one score for all items) has the ndcg of a random order, whatever the
#   order of the rows.
# Instead: ties keep the order of the rows in LightGBM and XGBoost alike: with the liked items first, as a join of
#   positives and sampled negatives leaves them, the constant model has ndcg@10 1.0; with them last 0.0; shuffled
#   .08, which is chance.
# Why it matters: a re-ranker with few features ties often, so its validation metric, early stopping and the
#   comparison with a baseline measure how the file was made. Shuffle within each query.
# Seen with: lightgbm 4.7.0, xgboost-cpu 3.2.0; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile lightgbm==4.7.0 xgboost-cpu==3.2.0 numpy==2.4.6 scipy==1.17.1
venv/bin/python - <<'PY'
import lightgbm as lgb, numpy as np, xgboost as xgb
USERS, ITEMS = 50, 100
def ndcg(labels):
    labels, found = np.concatenate(labels), {}
    matrix = xgb.DMatrix(np.zeros((len(labels), 1)), label=labels)
    matrix.set_group([ITEMS] * USERS)
    xgb.train({"objective": "rank:ndcg", "eval_metric": "ndcg@10"}, matrix, 1, evals=[(matrix, "all")], evals_result=found, verbose_eval=False)
    data, kept = lgb.Dataset(np.zeros((len(labels), 1)), labels, group=[ITEMS] * USERS, params={"verbose": -1}), {}
    lgb.train({"objective": "lambdarank", "metric": "ndcg", "eval_at": [10], "verbose": -1}, data, 1, valid_sets=[data], callbacks=[lgb.record_evaluation(kept)])
    return round(float(kept["training"]["ndcg@10"][-1]), 4), round(float(found["all"]["ndcg@10"][-1]), 4)
liked = np.r_[np.ones(5), np.zeros(ITEMS - 5)]
shuffled = [np.random.default_rng(user).permutation(liked) for user in range(USERS)]
libraries = f"LightGBM {lgb.__version__} and XGBoost {xgb.__version__}"

first, last, chance = ndcg([liked] * USERS), ndcg([liked[::-1]] * USERS), ndcg(shuffled)
print(f"{libraries}: ndcg@10 of a constant model, 5 liked of 100 items, 50 users")
print(f"  liked rows first {first}, last {last}, shuffled {chance}")
assert first == (1.0, 1.0) and last == (0.0, 0.0) and all(0.05 < value < 0.11 for value in chance)
PY

#!/usr/bin/env bash
# Guess: a user without any relevant item is left out of the mean ndcg, or counts 0.
# Instead: LightGBM and XGBoost both count 1.0: with 40 of 50 users without a liked item a constant model shows
#   ndcg@10 .81, and with none at all 1.0. XGBoost has another name for the metric that counts 0 (`ndcg@10-`),
#   LightGBM has none.
# Why it matters: in sampled lists and short validation weeks most users have no positive, so the figure is near 1
#   for every model, does not move while training, and is no ndcg of any evaluation library. Drop such users first.
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

everybody = ndcg(shuffled)
few = ndcg([labels if user < 10 else 0 * labels for user, labels in enumerate(shuffled)])
nobody = ndcg([0 * labels for labels in shuffled])
print(f"{libraries}: ndcg@10 of a constant model, 100 items each")
print(f"  all 50 users like something {everybody}, 10 of them do {few}, none does {nobody}")
assert max(everybody) < 0.11 and min(few) > 0.8 and nobody == (1.0, 1.0)
PY

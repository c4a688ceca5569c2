#!/usr/bin/env bash
# Guess: asked for more items than there are, a recommender returns a shorter list or marks the empty places; no
#   figure passes 1.
# Instead: matrix factorisation in implicit fills the places with item 0, a real item, and score 0.0; its own
#   evaluation counts each of them as a hit for users who like item 0: precision 6.0 and an NDCG above 1. The
#   nearest-neighbour models of the same library use -1.
# Why it matters: small catalogues (a category, a tenant, a test) show item 0 to everybody and win every comparison
#   at k above their size. Cut k to the number of items.
# Seen with: implicit 0.7.3; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile implicit==0.7.3 numpy==2.4.6 scipy==1.17.1
venv/bin/python - <<'PY'
import warnings, implicit, numpy as np, scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.evaluation import ranking_metrics_at_k
from implicit.nearest_neighbours import CosineRecommender
warnings.simplefilter("ignore")
likes = np.zeros((4, 10), np.float32)
likes[0, :2] = likes[1, 1:4] = likes[2, 5:9] = likes[3, 6:] = 1
train, test = sp.csr_matrix(likes), sp.csr_matrix(np.eye(1, 10, dtype=np.float32).repeat(4, 0))
als, cosine = AlternatingLeastSquares(factors=2, random_state=0, num_threads=1), CosineRecommender(num_threads=1)
als.fit(train, show_progress=False)
cosine.fit(train, show_progress=False)
def tail(model):
    ids, scores = model.recommend([0], train[[0]], N=14, filter_already_liked_items=False)
    return ids[0, 10:].tolist(), scores[0, 10:].tolist()
(als_ids, als_scores), (cosine_ids, _) = tail(als), tail(cosine)
found = {k: ranking_metrics_at_k(als, sp.csr_matrix((4, 10), dtype=np.float32), test, K=k, show_progress=False, num_threads=1) for k in (10, 15)}
print(f"implicit {implicit.__version__}, ten items, fourteen asked: the last four places of ALS are items {als_ids} with scores {als_scores}; of cosine {cosine_ids}")
for k, figures in found.items():
    print(f"everybody likes item 0, k = {k}: precision {figures['precision']:.2f}, NDCG {figures['ndcg']:.2f}")
assert als_ids == [0] * 4 and als_scores == [0.0] * 4 and cosine_ids == [-1] * 4
assert found[10]["precision"] <= 1 < found[15]["precision"] and found[15]["ndcg"] > 1
PY

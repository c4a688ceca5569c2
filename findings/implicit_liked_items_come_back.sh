#!/usr/bin/env bash
# Guess: `recommend(..., filter_already_liked_items=True)` never returns an item that the user has; the list is
#   shorter then.
# Instead: liked items come back at the end of the list: from ALS with the lowest number a float has, from the
#   nearest-neighbour models with score 0.0, like any item; likewise for `filter_items` and for `items=`.
# Why it matters: short catalogues and narrow neighbourhoods show people what they bought, and "score > 0" as a
#   guard works for one model and not the other, whose honest scores may be negative. Filter again by the ids.
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
from implicit.nearest_neighbours import CosineRecommender
warnings.simplefilter("ignore")
likes = sp.csr_matrix(np.array([[1, 1, 1, 0, 0], [1, 0, 1, 1, 0], [0, 1, 0, 1, 1]], np.float32))
returned = {}
for model in (AlternatingLeastSquares(factors=2, random_state=0, num_threads=1), CosineRecommender(num_threads=1)):
    model.fit(likes, show_progress=False)
    items, scores = model.recommend(0, likes[0], N=5, filter_already_liked_items=True)
    name = type(model).__name__
    returned[name] = {int(item): float(score) for item, score in zip(items, scores, strict=True) if item < 3}
    print(f"implicit {implicit.__version__}, {name}: the user has items 0, 1, 2; of these the filtered list holds {returned[name]}")
als, cosine = returned.values()
assert set(als) == set(cosine) == {0, 1, 2} and max(als.values()) < -1e38 and set(cosine.values()) == {0.0}
PY

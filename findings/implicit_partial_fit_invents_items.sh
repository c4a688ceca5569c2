#!/usr/bin/env bash
# Guess: `partial_fit_items([45], rows)` of a model over items 0..39 gives item 45 a vector, or refuses the gap.
# Instead: items 40..44 come to exist as well, with vectors of zeros; they are offered to everyone with score 0.0, before
#   every item whose score is below 0.
# Why it matters: ids are often handed out by a database with holes. Items that nobody has ever had, or that do not exist,
#   stand in the second half of long lists, and coverage counts them. Fold in new items in order of dense numbers.
# Seen with: implicit 0.7.3, scipy 1.17.1, numpy 2.4.6; 2026-12-01.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile implicit==0.7.3 scipy==1.17.1 numpy==2.4.6
OPENBLAS_NUM_THREADS=1 venv/bin/python - <<'PY'
import implicit, numpy as np, scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
taken = sp.random(60, 40, 0.15, format="csr", random_state=0, dtype=np.float32)
taken.data[:] = 1
model = AlternatingLeastSquares(factors=8, iterations=15, random_state=0, use_gpu=False)
model.fit(taken, show_progress=False)
model.partial_fit_items([45], taken.T.tocsr()[0])
items, scores = model.recommend(0, sp.csr_matrix((1, len(model.item_factors)), dtype=np.float32), N=46)
invented = [int(place) for place, item in enumerate(items) if 40 <= item < 45]
print(f"implicit {implicit.__version__}: fitted on 40 items, item 45 folded in: the model has {len(model.item_factors)} items")
print(f"items 40 to 44, which nobody had, stand on places {invented} of 46 with scores {sorted(set(scores[invented].tolist()))}; {int((scores < 0).sum())} real items come after them")
assert len(model.item_factors) == 46 and not model.item_factors[40:45].any()
assert len(invented) == 5 and (scores[invented] == 0).all() and (scores[max(invented) + 1:] < 0).any()
PY

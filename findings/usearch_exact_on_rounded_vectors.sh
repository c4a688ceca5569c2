#!/usr/bin/env bash
# Guess: an index fed with float32 vectors keeps float32, and `search(..., exact=True)` is exact on what was added.
# Instead: without a dtype the index takes bfloat16 or float16 where the processor has instructions for it, else
#   float32; vectors are rounded as they are added, `exact=True` scans the rounded ones, and scores that differ by
#   0.2% tie in bfloat16. In a batch, places beyond the index hold key 0 and distance NaN.
# Why it matters: recall against "exact" is recall against rounded vectors, its value changes with the machine, and
#   item 0 fills short lists. Pass `dtype="f32"` for an oracle and read `counts` of a batch.
# Seen with: usearch 2.26.6, numpy 2.4.6; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile usearch==2.26.6 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np, usearch
from usearch.index import Index
vectors = np.zeros((3, 16), np.float32)
vectors[:, 0] = 1.0, 1.002, 0.5
def index_of(**kind):
    index = Index(ndim=16, metric="ip", **kind)
    index.add(np.array([7, 8, 9]), vectors)
    return index
def exact(index):
    found = index.search(np.eye(1, 16, dtype=np.float32)[0], 3, exact=True)
    return {int(key): round(float(distance), 4) for key, distance in zip(found.keys, found.distances)}
print(f"usearch {usearch.__version__}: the type taken here without a dtype is {index_of().dtype.name}")
rounded, full = exact(index_of(dtype="bf16")), exact(index_of(dtype="f32"))
print(f"exact distances of items 7 and 8, whose scores are 1.000 and 1.002: bfloat16 {rounded[7]}, {rounded[8]}; float32 {full[7]}, {full[8]}")
batch = index_of().search(vectors, 5)
print(f"a batch asked for five of three items: keys {batch.keys[0].tolist()}, distances {[round(float(d), 3) for d in batch.distances[0]]}, counts {batch.counts.tolist()}")
assert rounded[7] == rounded[8] and full[8] < full[7]
assert batch.keys[0].tolist()[3:] == [0, 0] and np.isnan(batch.distances[0][3:]).all() and set(batch.counts.tolist()) == {3}
PY

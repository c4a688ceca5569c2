#!/usr/bin/env bash
# Guess: the mean of a bfloat16 array is accumulated in something wider, as NumPy does for its own float16.
# Instead: sums run in the element type: 1,000 ones in bfloat16 sum to 256 (their mean is 0.256, their deviation 0.5
#   instead of 0), 1,000 ones in float8_e4m3fn to 16, three sevens in int4 to 5. No warning. A matrix product is
#   summed wide and is right.
# Why it matters: mean-centring, norms by sum and batch statistics of embeddings kept in bfloat16 are wrong by a
#   factor that grows with the number of rows, while scores look right. Give `dtype=np.float32` to every reduction.
# Seen with: ml_dtypes 0.6.0, numpy 2.4.6; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ml-dtypes==0.6.0 numpy==2.4.6
venv/bin/python - <<'PY'
import ml_dtypes, numpy as np
def mean(kind):
    return float(np.ones(1_000).astype(kind).mean())
for kind in (np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn):
    print(f"numpy {np.__version__}, ml_dtypes {ml_dtypes.__version__}: the mean of 1,000 ones in {np.dtype(kind).name} is {mean(kind)}")
ones = np.ones(1_000).astype(ml_dtypes.bfloat16)
print(f"bfloat16: sum {ones.sum()}, deviation {ones.std()}, ones @ ones {ones @ ones}, sum with dtype=float32 {ones.sum(dtype=np.float32)}")
sevens = np.array([7, 7, 7]).astype(ml_dtypes.int4)
print(f"three sevens in int4 sum to {sevens.sum()}")
assert mean(np.float16) == 1 and mean(ml_dtypes.bfloat16) < 0.3 and mean(ml_dtypes.float8_e4m3fn) < 0.02
assert ones.sum() == 256 and ones @ ones == 1_000 and ones.sum(dtype=np.float32) == 1_000 and sevens.sum() == 5
PY

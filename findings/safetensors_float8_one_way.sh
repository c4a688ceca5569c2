#!/usr/bin/env bash
# Guess: what safetensors.numpy saves, safetensors.numpy loads: bfloat16 goes both ways, so float8 does too.
# Instead: float8 arrays of ml_dtypes are saved without a word and cannot be loaded: load_file looks for the type in
#   NumPy, where it is not, and raises AttributeError. bfloat16 goes both ways.
# Why it matters: quantised embeddings are found unreadable at serving time, after training has ended. Read a file
#   back before you release it.
# Seen with: safetensors 0.8.0, ml_dtypes 0.6.0, numpy 2.4.6; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile safetensors==0.8.0 ml-dtypes==0.6.0 numpy==2.4.6
venv/bin/python - <<'PY'
import ml_dtypes, numpy as np, safetensors
from safetensors.numpy import load_file, save_file
def back(kind):
    save_file({"vectors": np.arange(4).astype(kind)}, "vectors.safetensors")
    try:
        return str(load_file("vectors.safetensors")["vectors"].dtype)
    except AttributeError as error:
        return f"saved, not loaded: {error}"
found = {name: back(getattr(ml_dtypes, name)) for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2")}
for name, outcome in found.items():
    print(f"safetensors {safetensors.__version__}, {name}: {outcome}")
assert found["bfloat16"] == "bfloat16" and all(found[name].startswith("saved, not") for name in ("float8_e4m3fn", "float8_e5m2"))
PY

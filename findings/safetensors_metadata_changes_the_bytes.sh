#!/usr/bin/env bash
# Guess: the same arrays with the same metadata are saved as the same bytes: the format sorts its tensors by name.
# Instead: tensors are sorted and metadata is not: with three keys of metadata eight processes write several different
#   files (of six possible ones); without metadata, or with one key, always the same.
# Why it matters: an artifact's digest, or an object store that tells changes by content, sees a new model each night;
#   "same data and seed, same digest" fails in a way that no array comparison shows. Keep the facts in a file beside it.
# Seen with: safetensors 0.8.0; 2026-12-01.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile safetensors==0.8.0 numpy==2.4.6
cat > save.py <<'PY'
import hashlib, sys
import numpy as np
from safetensors.numpy import save
arrays = {"users": np.ones((3, 2), np.float32), "items": np.zeros((4, 2), np.float32)}
facts = {"model": "als", "day": "2026-12-01", "factors": "2"}
for n in (0, 1, 3):
    print(n, hashlib.sha256(save(arrays, metadata=dict(list(facts.items())[:n]) or None)).hexdigest())
PY
for _ in 1 2 3 4 5 6 7 8; do venv/bin/python save.py; done > seen
for n in 0 1 3; do echo "safetensors 0.8.0, $n keys of metadata, eight processes: $(grep "^$n " seen | sort -u | wc -l) different files"; done
test "$(grep '^0 ' seen | sort -u | wc -l)" = 1
test "$(grep '^1 ' seen | sort -u | wc -l)" = 1
test "$(grep '^3 ' seen | sort -u | wc -l)" -gt 1

#!/usr/bin/env bash
# Guess: an image opened with formats=["JPEG"] is a JPEG, and its `format` says so.
# Instead: a photo of a phone that holds a second picture (MPO) opens with formats=["JPEG"] and says format "MPO", two
#   frames; `formats` bounds which openers are asked, not what comes out.
# Why it matters: item photos come from sellers' phones. An intake that opens with an explicit list and then compares
#   `format` with the same list puts these aside as unreadable, or animates them.
# Seen with: Pillow 13.0.0; 2026-12-01.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile pillow==13.0.0
venv/bin/python - <<'PY'
import io, PIL
from PIL import Image
front, depth = Image.new("RGB", (64, 48), "red"), Image.new("RGB", (32, 24), "blue")
file = io.BytesIO()
front.save(file, "MPO", save_all=True, append_images=[depth])
found = Image.open(io.BytesIO(file.getvalue()), formats=["JPEG"])
print(f"Pillow {PIL.__version__}, a photo with a second picture opened with formats=['JPEG']: format {found.format}, {found.n_frames} frames, {found.size[0]} by {found.size[1]}")
assert found.format == "MPO" and found.n_frames == 2
PY

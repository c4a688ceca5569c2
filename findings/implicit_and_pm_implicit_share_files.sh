#!/usr/bin/env bash
# Guess: two installed distributions that both pass `pip check` do not own the same package, and removing one leaves
#   the other whole.
# Instead: rectools asks for pm-implicit, whose files lie in the package `implicit` like those of implicit itself.
#   pip installs one over the other without a word; after `pip uninstall pm-implicit` pip lists implicit and finds
#   nothing broken, and its models do not import.
# Why it matters: an environment that compares rectools with implicit runs whichever was installed last under both
#   names, and a clean-up breaks the peer. Give each its own environment.
# Seen with: implicit 0.7.3, pm-implicit 0.7.3; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile numpy==2.4.6 scipy==1.17.1 pm-implicit==0.7.3
venv/bin/pip install -qq --no-compile implicit==0.7.3
venv/bin/python - <<'PY'
import subprocess, sys
from importlib.metadata import files, version
modules = [{str(f) for f in files(name) if f.parts[0] == "implicit" and f.suffix in (".py", ".so")} for name in ("implicit", "pm-implicit")]
print(f"implicit {version('implicit')} and pm-implicit {version('pm-implicit')} both own {len(modules[0] & modules[1])} files of the package implicit")
def pip(*words):
    return subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True)
works = [subprocess.run([sys.executable, "-c", "import implicit.als"], capture_output=True).returncode == 0]
pip("uninstall", "--yes", "pm-implicit")
works.append(subprocess.run([sys.executable, "-c", "import implicit.als"], capture_output=True).returncode == 0)
listed, check = "implicit" in pip("list").stdout, pip("check")
print(f"ALS imports before pm-implicit is removed: {works[0]}, after: {works[1]}; implicit is listed: {listed}; pip check: {check.stdout.strip()}")
assert modules[0] & modules[1] and works == [True, False] and listed and check.returncode == 0
PY

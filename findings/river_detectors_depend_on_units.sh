#!/usr/bin/env bash
# Guess: a detector of change finds the same change in a figure given as a share, in percent or in thousandths.
# Instead: of one stream whose mean goes from 0.3 to 0.5 half way, ADWIN finds the change 87 values later, or nothing
#   after dividing by 1,000, or 64 values sooner after multiplying; PageHinkley finds it after 280 values, never, or
#   rings every 30 values from the start. KSWIN, which goes by ranks, says the same three times.
# Why it matters: NDCG, click rates and norms are monitored in whatever unit a dashboard has. The default thresholds of
#   two of three detectors are figures in that unit; standardise the stream first.
# Seen with: river 0.23.0; 2026-12-01.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile river==0.23.0 typing-extensions==4.15.0
venv/bin/python - <<'PY'
import numpy as np, river
from river import drift
draws = np.random.default_rng(1)
stream = np.r_[draws.normal(0.3, 0.1, 1000), draws.normal(0.5, 0.1, 1000)]
def found(make, scale):
    detector, hits = make(), []
    for at, value in enumerate(stream * scale):
        detector.update(value)
        if detector.drift_detected:
            hits.append(at)
    return hits
print(f"river {river.__version__}, a change at 1000; detections when the stream is multiplied by 0.001, 1 and 1000:")
told = {}
for name, make in (("ADWIN", drift.ADWIN), ("PageHinkley", drift.PageHinkley), ("KSWIN", lambda: drift.KSWIN(seed=1))):
    told[name] = [found(make, scale) for scale in (0.001, 1, 1000)]
    print(f"  {name}: " + "; ".join(f"{len(hits)} ({hits[:3]} …)" if hits else "none" for hits in told[name]))
assert told["KSWIN"][0] == told["KSWIN"][1] == told["KSWIN"][2]
assert not told["ADWIN"][0] and told["ADWIN"][1] and told["ADWIN"][1] != told["ADWIN"][2]
assert not told["PageHinkley"][0] and told["PageHinkley"][1][0] > 1000 > told["PageHinkley"][2][0]
PY

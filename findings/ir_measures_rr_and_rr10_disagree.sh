#!/usr/bin/env bash
# Guess: for lists of ten items RR and RR@10 are one number, in one call of one library.
# Instead: ir_measures takes them from two providers whose rules for ties are opposite: RR (trec_eval) puts the
#   later name first, RR@10 (the MS MARCO script) the earlier. With equal scores the first item by name has RR 0.1
#   and RR@10 1.0. trec_eval also holds scores in single precision, so 1 and 1 + 1e-9 tie for one and not for the
#   other.
# Why it matters: figures of one table disagree by a factor of ten for models that tie (counts, popularity), and
#   which model wins depends on how the items are called. Break ties yourself before handing a run over.
# Seen with: ir-measures 0.4.3, pytrec-eval-terrier 0.5.11; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ir-measures==0.4.3 pytrec-eval-terrier==0.5.11
venv/bin/python - <<'PY'
from importlib.metadata import version
import ir_measures
from ir_measures import RR
names = "abcdefghij"
def both(liked, scores):
    found = ir_measures.calc_aggregate([RR, RR @ 10], {"user": {liked: 1}}, {"user": scores})
    return round(found[RR], 3), round(found[RR @ 10], 3)
print(f"ir_measures {version('ir-measures')}: (RR, RR@10) of ten items with one score")
tied = {liked: both(liked, dict.fromkeys(names, 1.0)) for liked in "aj"}
for liked, values in tied.items():
    print(f"  the liked item is {liked}: {values}")
close = both("a", {"a": 1 + 1e-9, "b": 1.0})
print(f"  the liked item a leads b by a billionth: {close}")
assert tied == {"a": (0.1, 1.0), "j": (1.0, 0.1)} and close == (0.5, 1.0)
PY

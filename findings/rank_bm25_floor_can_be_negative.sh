#!/usr/bin/env bash
# Guess: BM25Okapi's `epsilon` is a floor: a word that most titles hold counts little, and never against a title.
# Instead: the floor is epsilon times the mean idf of all words, and where most words are common that mean is negative. In a
#   small shop of one kind of thing, titles that hold the word searched for stand below one that does not.
# Why it matters: a catalogue of one brand, or one category after a filter, is just such a corpus. An idf of log(1 + ...), as
#   Lucene has it, is never negative.
# Seen with: rank-bm25 0.2.2, numpy 2.4.6; 2026-12-01.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile rank-bm25==0.2.2 numpy==2.4.6
venv/bin/python - <<'PY'
from rank_bm25 import BM25Okapi
titles = ["oak table", "oak table", "oak table", "oak table", "lamp"]
index = BM25Okapi([title.split() for title in titles])
scores = index.get_scores(["oak"]).round(4).tolist()
order = sorted(range(len(titles)), key=lambda at: -scores[at])
print(f"rank-bm25 0.2.2, {titles}: idf of oak {index.idf['oak']:.4f}, scores of 'oak' {scores}")
print(f"the first hit for 'oak' is {titles[order[0]]!r}")
assert index.idf["oak"] < 0 and index.epsilon > 0
assert titles[order[0]] == "lamp" and scores[4] == 0 and max(scores[:4]) < 0
PY

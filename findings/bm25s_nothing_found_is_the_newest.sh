#!/usr/bin/env bash
# Guess: `retrieve` of a query that no title matches comes back empty, or marks its places as filled up.
# Instead: it answers with k titles at score 0.0, and these are the last of the corpus, latest first: a catalogue in order of
#   arrival shows its newest items for any nonsense. The same fills the tail of a query with few matches, and answers a search for a
#   title that is a stop word ("It"), of which the default tokenizer leaves nothing.
# Why it matters: places of score 0 look like results, count as impressions, and favour whatever came last. Cut at score > 0, and
#   tokenize a catalogue of titles without a list of stop words.
# Seen with: bm25s 0.3.16, numpy 2.4.6; 2026-12-01.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile bm25s==0.3.16 numpy==2.4.6
venv/bin/python - <<'PY'
import bm25s
titles = ["oak table", "pine table", "it", "oak chair", "glass lamp", "up"]
index = bm25s.BM25()
index.index(bm25s.tokenize(titles, show_progress=False), show_progress=False)
def found(query):
    places, scores = index.retrieve(bm25s.tokenize([query], show_progress=False), k=3, show_progress=False)
    return [titles[place] for place in places[0]], scores[0].round(3).tolist()
for query in ("submarine", "it", "up"):
    print(f"bm25s {bm25s.__version__}: {query!r} finds {found(query)}")
newest = titles[:-4:-1]
assert found("submarine") == (newest, [0.0] * 3)
assert found("it") == (newest, [0.0] * 3)
assert found("up")[0][0] == "up" and found("up")[1][0] > 0
PY

#!/usr/bin/env bash
# Guess: text ids of JSON lines come back as they were written; if UUIDs are recognised, then alike in JSON and in
#   CSV.
# Instead: read_json turns upper-case UUIDs into the type UUID, whose text is lower case; read_csv leaves the same
#   ids as text in upper case. A join of the two as text finds nothing.
# Why it matters: events as JSON lines and a catalogue as CSV from one system share no item: every learned item
#   looks as if it were off sale. Read ids as varchar, stated by name.
# Seen with: duckdb 2.0.0; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile duckdb==2.0.0
venv/bin/python - <<'PY'
import duckdb, uuid
ids = [str(uuid.UUID(int=0xABCDEF << 100 | n)).upper() for n in range(1, 101)]
with open("events.jsonl", "w") as events, open("items.csv", "w") as items:
    events.writelines('{"item": "%s"}\n' % item for item in ids)
    items.write("item,price\n" + "".join(f"{item},1\n" for item in ids))
def joined(events):
    return duckdb.execute(f"select count(*) from {events} e join 'items.csv' i on e.item::varchar = i.item::varchar").fetchone()[0]
kinds = [duckdb.execute(f"select any_value(typeof(item)) from '{name}'").fetchone()[0] for name in ("events.jsonl", "items.csv")]
guessed = joined("'events.jsonl'")
stated = joined("read_json('events.jsonl', format = 'newline_delimited', columns = {item: 'varchar'})")
print(f"DuckDB {duckdb.__version__}: the type of 100 upper-case UUIDs is {kinds[0]} in JSON lines and {kinds[1]} in CSV")
print(f"joined as text: {guessed} of 100; with the JSON column stated as varchar: {stated} of 100")
assert (kinds, guessed, stated) == (["UUID", "VARCHAR"], 0, 100)
PY

"""What people type: `recsys VERB …` runs `run(parsed)` of the module named after the verb.

A verb is a module here (`fetch-looks` is `fetch_looks.py`) and an entry in `options.py`. Only the module of the verb
that was typed is imported, so it may import what it needs at its top; `options.py` serves every verb and `--help`.
"""

"""Lists under a policy: sources give candidates, filters withhold, scorers value, orderers arrange; all is logged.

request.py    what is asked for, and the record of it
policy.py     the document, its typed parts and its digest
parts.py      the four kinds of parts and how their files are found
asked.py      a request with what is known of its user
lists.py      `make_list`, and what it returns
reasons.py    why an item stands in a list
sources/ filters/ scorers/ orderers/    one file adds a part
"""

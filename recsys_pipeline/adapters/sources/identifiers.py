"""How ids are written: alike in every table, so that those of one join those of another.

Blanks around an id are no part of it, as in `recsys evaluate`; and an id from a column of floats (`102.0`, as tools
write whole numbers once one of the column is missing) is written as the whole number that it is.
"""

import re

FLOAT_OF_WHOLE = re.compile(r"(-?[0-9]+)\.0+")


def identifier_sql(text: str) -> str:
    """SQL over a column of texts."""
    whole = f"regexp_extract(trim({text}), '^{FLOAT_OF_WHOLE.pattern}$', 1)"
    return f"case when ends_with(trim({text}), '0') and {whole} <> '' then {whole} else trim({text}) end"


def identifier(text: str | None) -> str | None:
    """The same for one text.

    >>> identifier(" 102.0"), identifier("v1.0"), identifier("7")
    ('102', 'v1.0', '7')
    """
    if text is None:
        return None
    bare = text.strip(" ")
    match = FLOAT_OF_WHOLE.fullmatch(bare) if bare.endswith("0") else None
    return match[1] if match else bare

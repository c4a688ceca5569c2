"""Text from data as people may see it: no control character reaches a terminal, no markup a rendered page."""

import re

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~!$])")


def printable(text: str) -> str:
    r"""Text whose control characters, other than tabs and line ends, are written out.

    >>> printable("red \x1b[31m")
    'red \\x1b[31m'
    """
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def markdown_text(text: str) -> str:
    r"""Text that Markdown shows as it is, in one line: for names from data in a table of Markdown.

    >>> markdown_text("a|b *c*")
    'a\\|b \\*c\\*'
    """
    return _MARKUP.sub(r"\\\1", " ".join(printable(text).split()))

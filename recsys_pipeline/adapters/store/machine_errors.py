"""Errors of the machine, which no code can mend: a full disk, a folder that may not be written, a file in the way.

Any other `OSError`, such as a file that is not there, is a bug where nobody expected it, and keeps its traceback.
"""

import errno
import re

NUMBERS = frozenset({
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EMFILE,
    errno.ENFILE, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
})  # fmt: skip
_NUMBER = re.compile(r"\[Errno (\d+)\]")


def is_of_the_machine(error: OSError) -> bool:
    """Whether an error says something about the machine, and nothing about the code."""
    return error.errno in NUMBERS


def says_of_the_machine(text: str) -> bool:
    """The same of an error of which only the text is left."""
    found = _NUMBER.search(text)
    return found is not None and int(found[1]) in NUMBERS


def told(error: OSError) -> str:
    """What is wrong and with which file."""
    files = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return ": ".join([error.strerror or str(error), *([" to ".join(files)] if files else [])])

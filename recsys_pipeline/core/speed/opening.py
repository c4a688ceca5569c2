"""A release that is read while it is checked: the one cost of an overlay that grows with the release."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from recsys_pipeline.core.serving.release import Release


@contextmanager
def checked_release(directory: Path) -> Iterator[Release]:
    """Open a release; its digests are compared on another thread, and the body ends well only if all of them agree.

    So write the results after it, or where they are thrown away if it raises. Raises `ArtifactError` naming a corrupt
    file, also where the body has stumbled over it before.
    """
    with ThreadPoolExecutor(1) as pool:
        check = pool.submit(Release.load, directory)
        try:
            yield Release.load(directory, verify=False)
        finally:
            check.result()

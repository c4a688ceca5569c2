"""That what is made was made of intact inputs: their digests, compared before or beside the making."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from recsys_pipeline.adapters.store.artifact_store import Artifact


@contextmanager
def verified(inputs: Sequence[Artifact], beside: bool = False) -> Iterator[None]:
    """A block that ends well only if every file of every input agrees with its digest; each is read once a process.

    With `beside` another thread compares them while the block runs, for short blocks over large inputs: what the block
    makes must be thrown away if it raises. Raises `ArtifactError` naming a damaged file, also where the block has
    stumbled over it before.
    """
    if not beside:
        _verify(inputs)
        yield
        return
    with ThreadPoolExecutor(1) as pool:  # hashing holds no lock of Python's
        check = pool.submit(_verify, inputs)
        try:
            yield
        finally:
            check.result()


def _verify(inputs: Sequence[Artifact]) -> None:
    for artifact in inputs:
        artifact.verify(anew=False)

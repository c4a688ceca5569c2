"""Images that tables name by their paths below a folder."""

from pathlib import Path

from recsys_pipeline.core.errors import SourceError


def read_image(folder: Path, reference: str) -> bytes:
    """Bytes of a file below the folder; raises `SourceError` where it is absent or would lie outside."""
    root = folder.resolve()
    path = (root / reference).resolve()
    if not path.is_relative_to(root):
        raise SourceError(f"image {reference!r} leads out of {folder}: references are paths below root")
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read image {reference!r} below {folder}: {error.strerror}") from error

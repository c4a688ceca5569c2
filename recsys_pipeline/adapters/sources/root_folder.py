"""What lies below the root of a source: files that a pattern names, and images that tables name by their paths."""

from pathlib import Path

from recsys_pipeline.core.errors import SourceError


def files_below(root: Path, pattern: str, setting: str) -> list[Path]:
    """Files that a pattern names, sorted; raises `SourceError` naming the setting where there are none."""
    paths = sorted((path for path in root.glob(pattern) if path.is_file()), key=lambda path: path.parts)
    if not paths:
        raise SourceError(f"no file {pattern} below {root}: check root and {setting}")
    return paths


def read_image(folder: Path, reference: str) -> bytes:
    """Bytes of a file below the folder; raises `SourceError` where it is absent or would lie outside."""
    try:
        root = folder.resolve()
        path = (root / reference).resolve()
        if not path.is_relative_to(root):
            raise SourceError(f"image {reference!r} leads out of {folder}: references are paths below root")
        # A pipe would be waited for without end.
        if path.exists() and not path.is_file():
            raise SourceError(f"image {reference!r} below {folder} is no regular file")
        return path.read_bytes()
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a link to itself; ValueError: a zero byte
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SourceError(f"cannot read image {reference!r} below {folder}: {why}") from error

"""Folders whose files stand with their digests in one document, so that a changed byte is found, and named, when read.

The document carries a digest of itself and is compared with its own canonical text, so a changed byte in it is found
too.
"""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from recsys_pipeline.core.errors import ArtifactError

MANIFEST = "manifest.json"
"""What a store adds beside the document; it is not part of what is sealed. Files of this name below are."""
_THREADS = 2


def seal(directory: Path, name: str, document: Mapping[str, Any]) -> None:
    """Write `document` as the JSON file `name`, with size and SHA-256 of every other file below the directory.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("abc")
    >>> seal(folder, "seal.json", {"day": "2026-01-05"})
    >>> unseal(folder, "seal.json")["files"]["a.txt"]["bytes"]
    3
    """
    beside = [directory / name, directory / MANIFEST]
    paths = sorted(path for path in directory.rglob("*") if path.is_file() and path not in beside)
    files = {path.relative_to(directory).as_posix(): _describe(path) for path in paths}
    (directory / name).write_text(_text({**document, "files": files}), encoding="utf-8")


def unseal(directory: Path, name: str, verify: bool = True) -> dict[str, Any]:
    """The document that `seal` wrote, after every file that it lists was found in its recorded size.

    With `verify` the content of every file is compared too. Reading costs about a second per 2 GB (one of 2 cores).
    Raises `ArtifactError` naming the first file, by name, that is missing or differs.
    """
    path = directory / name
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text)
        document.pop("seal")
        is_intact = _text(document) == text
        files = sorted(document["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path} is missing or corrupt ({error}): materialize its artifact again") from error
    if not is_intact:
        raise ArtifactError(f"{path} is corrupt: its text is not what was written; materialize its artifact again")
    with ThreadPoolExecutor(_THREADS) as pool:  # hashing holds no lock of Python's
        checked = pool.map(lambda file: _is_intact(directory / file[0], file[1], verify), files)
        for (file, _), holds in zip(files, checked, strict=True):
            if not holds:
                raise ArtifactError(f"{directory / file} is missing or corrupt: materialize its artifact again")
    return document


def _describe(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": _digest(path)}


def _is_intact(path: Path, recorded: Mapping[str, Any], verify: bool) -> bool:
    if not path.is_file() or path.stat().st_size != recorded["bytes"]:
        return False
    return not verify or _digest(path) == recorded["sha256"]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _text(document: Mapping[str, Any]) -> str:
    """Canonical JSON of the document and of the digest of its content."""
    content = {key: value for key, value in document.items() if key != "seal"}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps({**content, "seal": digest}, indent=1, sort_keys=True) + "\n"

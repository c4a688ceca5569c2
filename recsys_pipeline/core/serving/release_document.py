"""What a release says of itself in `release.json`; reading it needs none of the libraries that use a release."""

from pathlib import Path
from typing import Any

from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.serving.sealed import unseal

DOCUMENT = "release.json"
FORMAT = 1


def read_release_document(directory: Path, verify: bool = True) -> dict[str, Any]:
    """Day, sizes, settings and files; with `verify` the content of every file is compared, otherwise their sizes.

    Raises `ArtifactError` naming the file that is missing, corrupt or of another version.
    """
    document = unseal(directory, DOCUMENT, verify)
    found = document.get("format")
    if found != FORMAT:
        where = directory / DOCUMENT
        raise ArtifactError(f"{where} is of format {found}, this version reads {FORMAT}: release the day again")
    return document

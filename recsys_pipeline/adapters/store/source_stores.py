"""The stores below one URL: sources never share artifacts."""

from dataclasses import dataclass
from pathlib import Path

import fsspec

from recsys_pipeline.adapters.store.artifact_store import ArtifactStore


@dataclass(frozen=True)
class SourceStores:
    """The stores below one URL, one per source: sources never share artifacts, as their partitions mean other data."""

    url: str
    cache: Path
    settings_digest: str = ""
    """Of the file of settings in force."""

    def __call__(self, source: str) -> ArtifactStore:
        """The store of a source."""
        return ArtifactStore(f"{self.url}/{source}", self.cache / source, self.settings_digest)

    def sources(self) -> list[str]:
        """Names of the sources that have a store."""
        fs, root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        if not fs.exists(root):
            return []
        folders = [entry["name"] for entry in fs.ls(root, detail=True) if entry["type"] == "directory"]
        names = [folder.rstrip("/").rsplit("/", 1)[-1] for folder in folders]
        return sorted(name for name in names if not name.startswith("."))

"""The stores below one URL: sources never share artifacts."""

from dataclasses import dataclass
from pathlib import Path

import fsspec

from recsys_pipeline.adapters.settings_file import read_settings_file
from recsys_pipeline.adapters.store.artifact_store import ArtifactStore
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.settings import Settings


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


def stores(deployment: Settings) -> SourceStores:
    """The stores of all sources; raises `SettingError` for a `RECSYS_STORE` that nothing installed can open."""
    try:
        fsspec.core.url_to_fs(deployment.store_url)
    except (ImportError, ValueError) as error:
        raise SettingError(
            f"RECSYS_STORE is {deployment.store_url}: {error}. Install the package of its protocol (s3fs for s3://, "
            "gcsfs for gs://, adlfs for abfs://), or set it to a folder"
        ) from error
    in_force = read_settings_file(deployment.settings_file).digest
    return SourceStores(deployment.store_url, deployment.home / "cache", in_force)


def open_store(deployment: Settings, source_name: str) -> ArtifactStore:
    """The store of one source: sources never share artifacts, because their partitions mean different data."""
    return stores(deployment)(source_name)

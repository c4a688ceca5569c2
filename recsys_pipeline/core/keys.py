"""Names of artifacts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ArtifactRef:
    """Points at one version of one artifact: what lineage edges are made of."""

    key: str
    partition: str
    digest: str

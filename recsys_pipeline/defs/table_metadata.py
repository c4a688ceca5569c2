"""What Dagster shows of any table under names that it knows: rows on the asset's page, columns in its schema tab."""

from pathlib import Path, PurePosixPath
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from recsys_pipeline.adapters.store.artifact_store import Artifact

ASIDE = "quarantine"


def table_of(artifact: Artifact) -> Path | None:
    """The Parquet file with the subject's name, or the only one; none of several tables stands for an artifact."""
    subject = artifact.manifest.recipe.key.split("/")[1]
    paths = [PurePosixPath(name) for name in artifact.manifest.files if name.endswith(".parquet")]
    tables = [path for path in paths if path.stem != ASIDE]
    named = [path for path in tables if path.stem == subject] or tables
    path = artifact.path / named[0] if len(named) == 1 else None
    return path if path and path.is_file() else None


def table_metadata(artifact: Artifact) -> dict[str, Any]:
    """`dagster/row_count` and `dagster/column_schema` of an artifact's table, from the footer of its file.

    Rows put aside do not count.
    """
    path = table_of(artifact)
    if path is None:
        return {}
    footer = pq.read_metadata(path)
    columns = [
        dg.TableColumn(field.name, str(field.type), constraints=dg.TableColumnConstraints(nullable=field.nullable))
        for field in footer.schema.to_arrow_schema()
    ]
    return {"dagster/row_count": footer.num_rows, "dagster/column_schema": dg.TableSchema(columns=columns)}

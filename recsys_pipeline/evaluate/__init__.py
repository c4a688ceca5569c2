"""`recsys evaluate`: registered models on somebody's own files, with no Dagster and no W&B involved."""

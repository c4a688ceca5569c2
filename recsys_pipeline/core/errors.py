"""Every error that this package raises on purpose.

    RecsysError
    ├── SettingError        a setting, config field or sweep YAML is wrong
    ├── SourceError         a source cannot be read: missing file, wrong columns, broken download
    ├── DataError           data broke its contract beyond what the quarantine may hold
    ├── ArtifactError       a stored artifact is missing, half-written or corrupt
    │   └── UnknownPastError    what a model was trained on is gone, so that it cannot be judged
    ├── ModelError          training or scoring met something it cannot define
    └── TrackingError       a tracking server does not answer or refuses; runs never see it, pushing does

Each message names the offending file, row, key or setting, and the way out. What it quotes from data is printable: logs
and terminals show messages as they are.
"""

from recsys_pipeline.core.printable import printable


class RecsysError(Exception):
    """Base of all errors raised on purpose; catch it to tell our message from a bug."""

    def __init__(self, *told: object) -> None:
        super().__init__(*(printable(part) if isinstance(part, str) else part for part in told))


class SettingError(RecsysError):
    """A setting, config field or sweep definition is wrong."""


class SourceError(RecsysError):
    """A source cannot be read at all."""


class DataError(RecsysError):
    """Data broke its contract by more than the configured share."""


class ArtifactError(RecsysError):
    """A stored artifact is missing, half-written or corrupt."""


class UnknownPastError(ArtifactError):
    """What a model was trained on is gone: which test rows it has seen is not known, so it cannot be judged."""


class ModelError(RecsysError):
    """Training or scoring met something it cannot define."""


class TrackingError(RecsysError):
    """A tracking server does not answer, or refuses what was sent."""

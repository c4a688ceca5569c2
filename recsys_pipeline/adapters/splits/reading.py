"""What people say of their files on the command line, where the content does not tell it."""

from dataclasses import dataclass

from recsys_pipeline.adapters.sources.text_times import format_error, zone_is_known
from recsys_pipeline.core.errors import SettingError

FORMATS = ("table", "adjacency", "sequences", "sessions")
"""What `--format` may say; the negatives of NCF are known by their brackets."""


@dataclass(frozen=True)
class Reading:
    """What people say of a file that its content does not tell; None and empty are told from the content."""

    format: str | None = None
    columns: tuple[str, ...] | None = None
    separator: str | None = None
    encoding: str = "utf-8"
    quote: bool | None = None
    header: bool | None = None
    time_format: str = ""
    time_zone: str = "UTC"


PLAINLY = Reading()
"""Everything is told from the content."""


def check_reading(reading: Reading) -> None:
    """Raise `SettingError` for what suits no file, naming the option."""
    if reading.format is not None and reading.format not in FORMATS:
        raise SettingError(f"format {reading.format!r} is unknown: use {', '.join(FORMATS)}, or leave it out")
    if reading.separator is not None and not reading.separator:
        raise SettingError("--separator is empty: say tab, comma, semicolon, bar, space or the text itself")
    if reading.quote and reading.separator is not None and len(reading.separator) > 1:
        raise SettingError(f"--quote needs a separator of one character, and --separator is {reading.separator!r}")
    if reading.time_format and (wrong := format_error(reading.time_format)):
        raise SettingError(f"--time-format {reading.time_format!r} cannot be used: {wrong}")
    if not zone_is_known(reading.time_zone):
        raise SettingError(f"--time-zone {reading.time_zone!r} is no IANA time zone, such as Europe/Berlin")
    try:
        "".encode(reading.encoding)
    except (LookupError, ValueError) as error:
        raise SettingError(f"--encoding {reading.encoding!r} is none of text, such as utf-8 or latin-1") from error

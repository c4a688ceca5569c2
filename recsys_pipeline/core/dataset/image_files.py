"""Encoded images of any kind turned into one uint8 array file, one square RGB frame per id."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.types import Progress

MIN_SIDE = 4
"""Smaller images are tracking pixels and placeholders, not photographs."""


@runtime_checkable
class ImageReader(Protocol):
    """The part of a `Source` that is needed here."""

    def image(self, reference: str) -> bytes:
        """The encoded bytes of an image; raises `SourceError` if absent."""
        ...


def decode_image(data: bytes, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """One encoded image as a `size`×`size` RGB frame, stretched; transparency shows white.

    Grey, palette, CMYK, 16-bit and RGBA images become RGB, an animation gives its first frame, and the EXIF
    orientation is applied. Raises `ValueError` with a reason for an image that does not decode or is too small.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if min(width, height) >= MIN_SIDE:
                # JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, which is much faster for photographs.
                image.draft("RGB", (2 * size, 2 * size))
                upright = ImageOps.exif_transpose(image)
                return np.asarray(_as_rgb(upright).resize((size, size), Image.Resampling.LANCZOS))
    # On broken files each decoder has its own habit: mutated files gave OSError, SyntaxError, ValueError, TypeError,
    # RuntimeError (AVIF), NotImplementedError (DDS), struct.error, zlib.error, DecompressionBombError and more.
    except Exception as error:
        raise ValueError(f"does not decode: {error}" if str(error) else f"does not decode: {error!r}") from error
    raise ValueError(f"the image is {width}×{height}, smaller than {MIN_SIDE} pixels")


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow clips 16-bit grey to 255 instead of scaling it.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def write_images(
    source: ImageReader, references: Mapping[str, str], path: Path, size: int, progress: Progress | None = None
) -> dict[str, str]:
    """Decode the images named by `references` (id → reference) into a `.npy` file, in the order of their ids.

    Images that are missing or broken are left out and returned as id → reason. Frames are appended as they come,
    so memory stays at one image however large the catalogue is.
    """
    failures: dict[str, str] = {}
    with path.open("wb") as file:
        _write_header(file, 0, size)
        for number, key in enumerate(sorted(references)):
            try:
                frame = decode_image(source.image(references[key]), size)
            except (SourceError, ValueError) as error:
                failures[key] = str(error)
            else:
                file.write(frame.tobytes())
            if progress is not None and number % 500 == 0:
                progress(path.stem, {"done": number, "total": len(references)})
        file.seek(0)
        _write_header(file, len(references) - len(failures), size)
    return failures


def _write_header(file: BinaryIO, count: int, size: int) -> None:
    """The header of a uint8 array; NumPy pads it so that the first axis may grow in place."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)}
    np.lib.format.write_array_header_1_0(file, header)

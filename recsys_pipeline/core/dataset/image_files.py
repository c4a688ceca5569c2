"""Encoded images of any kind turned into one uint8 array file, one square RGB frame per id."""

import hashlib
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

import numpy as np
import PIL
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from recsys_pipeline.core.errors import SourceError
from recsys_pipeline.core.progress import Progress

MIN_SIDE = 4
"""Smaller images are tracking pixels and placeholders, not photographs."""

MAX_PIXELS = 25_000_000
"""Pixels that may be held at once, as a 24-megapixel photograph has; measured peaks at that size: PNG 0.3 GB, with
transparency 0.4 GB, WebP 0.5 GB."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""Kinds of images that are read, all inside this process: for others, such as PostScript, Pillow starts programs.
Phones' photos of several pictures (MPO) are JPEGs to it."""

DECODER = f"1, Pillow {PIL.__version__}"
"""Rises whenever the same bytes begin to give other frames."""


@runtime_checkable
class ImageReader(Protocol):
    """The part of a `Source` that is needed here."""

    def image(self, reference: str) -> bytes:
        """The encoded bytes of an image; raises `SourceError` if absent."""
        ...


@runtime_checkable
class KnowsImageVersions(Protocol):
    """A source that can say whether an image has changed without making it: reading costs nothing then."""

    def image_version(self, reference: str) -> str:
        """A string that changes whenever `image(reference)` would give other bytes."""
        ...


def decode_image(data: bytes, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """One encoded image as a `size`×`size` RGB frame, stretched; transparency shows white.

    Grey, palette, CMYK, 16-bit and RGBA images become RGB, an animation gives its first frame, and the EXIF
    orientation is applied; the bytes say what kind of image it is, not its name. A JPEG larger than `MAX_PIXELS` is
    decoded at a fraction of its size. Raises `ValueError` with a reason for an image that does not decode, is too
    small, or has too many pixels to hold.
    """
    with _reasons(data), _without_bomb_warnings(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
        width, height = image.size
        if min(width, height) < MIN_SIDE:
            raise _UnfitError(f"the image is {width}×{height}, smaller than {MIN_SIDE} pixels")
        # JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, which is much faster for photographs; but all
        # coefficients of a progressive one are held until its last scan has come.
        image.draft("RGB", (2 * size, 2 * size))
        held = (width, height) if image.info.get("progressive") else image.size
        if held[0] * held[1] > MAX_PIXELS:
            raise _UnfitError(f"the image is {width}×{height}, more than {MAX_PIXELS:,} pixels: scale it down")
        return np.asarray(_as_rgb(ImageOps.exif_transpose(image), size))


def check_kind(data: bytes) -> None:
    """Raise `ValueError` with a reason for what does not begin as an image that is read; nothing is decoded."""
    with _reasons(data), _without_bomb_warnings(), Image.open(io.BytesIO(data), formats=FORMATS):
        pass


class _UnfitError(ValueError):
    """An image that decodes but is none that we take."""


@contextmanager
def _reasons(data: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises into `ValueError` with a reason that is the same each time."""
    try:
        yield
    except _UnfitError:
        raise
    except UnidentifiedImageError as error:
        raise ValueError(f"does not decode: no known kind of image, it begins with {data[:16]!r}") from error
    # On broken files each decoder has its own habit: mutated files gave OSError, SyntaxError, ValueError, TypeError,
    # RuntimeError (AVIF), struct.error, zlib.error, DecompressionBombError and more.
    except Exception as error:
        text = re.sub(r" at 0x[0-9a-f]+", "", str(error) or repr(error))
        raise ValueError(f"does not decode: {text}") from error


@contextmanager
def _without_bomb_warnings() -> Iterator[None]:
    """Pillow warns of images above 89 million pixels before it is known at what size they will be decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _as_rgb(image: Image.Image, size: int) -> Image.Image:
    """Scaled first and painted on white afterwards, so that few copies of a large image are held."""
    if image.mode.startswith("I"):
        # Pillow clips 16-bit grey to 255 instead of scaling it.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    mode = "RGBA" if image.has_transparency_data else "RGB"
    scaled = image.convert(mode).resize((size, size), Image.Resampling.LANCZOS)
    if mode == "RGB":
        return scaled
    return Image.alpha_composite(Image.new("RGBA", scaled.size, "white"), scaled).convert("RGB")


@dataclass(frozen=True)
class WrittenImages:
    """What became of the images: the digest of each that was kept, the reason of each that was not."""

    digests: dict[str, str]
    failures: dict[str, str]
    decoded: int
    """How many were decoded; the others were known."""


Frames = Mapping[str, UInt8[np.ndarray, "size size 3"]]
"""Frames by the digest of the image that they were made from."""


def write_images(
    source: ImageReader,
    references: Mapping[str, str],
    path: Path,
    size: int,
    progress: Progress | None = None,
    known: Frames | None = None,
) -> WrittenImages:
    """Decode the images named by `references` (id → reference) into a `.npy` file, in the order of their ids.

    Images whose digest is `known` are copied. Images that are missing or broken are left out. Frames are appended as
    they come, so memory stays at one image however large the catalogue is.
    """
    digests: dict[str, str] = {}
    failures: dict[str, str] = {}
    decoded = 0
    with path.open("wb") as file:
        _write_header(file, 0, size)
        for number, key in enumerate(sorted(references)):
            try:
                digest, frame, fresh = _frame(source, references[key], size, known or {})
            except (SourceError, ValueError) as error:
                failures[key] = str(error)
            else:
                file.write(frame.tobytes())
                digests[key] = digest
                decoded += fresh
            if progress is not None and number % 500 == 0:
                progress(path.stem, {"done": number, "total": len(references)})
        file.seek(0)
        _write_header(file, len(digests), size)
    return WrittenImages(digests, failures, decoded)


def _frame(
    source: ImageReader, reference: str, size: int, known: Frames
) -> tuple[str, UInt8[np.ndarray, "size size 3"], bool]:
    """An image's digest, its frame, and whether it was decoded for it."""
    data = None
    if isinstance(source, KnowsImageVersions):
        version = source.image_version(reference).encode()
    else:
        version = data = source.image(reference)
    digest = hashlib.blake2b(version, digest_size=16, key=f"{DECODER}, {size}".encode()).hexdigest()
    if digest in known:
        return digest, known[digest], False
    return digest, decode_image(source.image(reference) if data is None else data, size), True


def _write_header(file: BinaryIO, count: int, size: int) -> None:
    """The header of a uint8 array; NumPy pads it so that the first axis may grow in place."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)}
    np.lib.format.write_array_header_1_0(file, header)

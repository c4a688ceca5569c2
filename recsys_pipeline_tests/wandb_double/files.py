"""Bytes that clients upload: kept by their MD5, addressed by signed URLs, as an object store behind W&B does."""

import base64
import hashlib
import hmac
import os
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from recsys_pipeline_tests.wandb_double.graphql import QueryError

SECRET = b"signs the addresses of this double"


class Files:
    """Blobs in a folder; `base_url` is the server that hands them out."""

    def __init__(self, folder: Path, base_url: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.base_url = base_url

    def signed(self, path: str) -> str:
        """The full address of a path below /storage, with a signature."""
        quoted = quote(path)
        return f"{self.base_url}{quoted}?signature={_signature(quoted)}"

    def check_signature(self, url: str) -> None:
        """Refuse an address that this double did not hand out.

        Raises:
            QueryError: 403, as object stores answer.
        """
        parts = urlsplit(url)
        given = parse_qs(parts.query).get("signature", [""])[0]
        if not hmac.compare_digest(given, _signature(parts.path)):
            raise QueryError(f"{parts.path}: the signature is missing or wrong", 403)

    def keep(self, content: bytes, expected: str | None = None) -> str:
        """Store bytes and give their MD5 (hex).

        Raises:
            QueryError: they are not the bytes that were announced.
        """
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if expected and digest != expected:
            raise QueryError(f"uploaded bytes have MD5 {digest}, announced was {expected}")
        # Another client may be reading the same bytes: they are never seen half written.
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as part:
            part.write(content)
        os.replace(part.name, self.folder / digest)
        return digest

    def has(self, digest: str) -> bool:
        """Whether bytes with this MD5 (hex) were uploaded whole."""
        return (self.folder / digest).exists()

    def content(self, digest: str) -> bytes:
        """The bytes with this MD5 (hex).

        Raises:
            QueryError: 404, nothing with this digest was uploaded.
        """
        if not digest.isalnum() or not self.has(digest):
            raise QueryError(f"no file with MD5 {digest}", 404)
        return (self.folder / digest).read_bytes()


def hex_of(digest: str) -> str:
    """The MD5 of a manifest (base64) as hex."""
    return base64.b64decode(digest).hex()


def _signature(quoted_path: str) -> str:
    return hmac.new(SECRET, quoted_path.encode(), "sha256").hexdigest()

"""Where files lie: object keys, the storage itself and short-lived signed links. No ORM, no HTTP.

The storage is S3 when ``BUCKET_NAME`` is set, else a folder; both have the same methods and this
module is the only one that calls them.
"""

import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core import signing
from django.core.files.storage import FileSystemStorage, default_storage
from django.utils.http import content_disposition_header
from storages.backends.s3 import S3Storage

from cloudnotes.errors import DomainError

UNKNOWN_TYPE = "application/octet-stream"
LINK_PATH = "/files/"
LINK_SALT = "notes.storage.link"
NAME_BYTES = 255
# First bytes of the types that files may be served as; everything else is octets.
SIGNATURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"%PDF-"), "application/pdf"),
)
TEXT_SAMPLE = 4096
COPY_BYTES = 2**20

_storage: Any = default_storage


class StorageUnavailable(DomainError):
    """The bucket or the disk does not answer or refuses."""

    status = 503
    code = "storage_unavailable"
    detail = "Files cannot be stored or fetched at the moment. Please try again."


class InvalidLink(Exception):
    """The link is not one that this service signed, or its time is over."""


class BucketStorage(S3Storage):
    """django-storages' S3 with its unsafe or slow defaults changed."""

    def get_default_settings(self) -> dict[str, Any]:
        return {
            **super().get_default_settings(),
            "file_overwrite": False,
            "default_acl": None,
            "querystring_auth": True,
            "signature_version": "s3v4",
            # Uploads stay in the thread that asked for them,
            # one request each, so that a crash leaves no parts of an object behind.
            "transfer_config": TransferConfig(
                use_threads=False, multipart_threshold=settings.MAX_FILE_BYTES + 1
            ),
            "client_config": Config(
                # Two attempts of 4 s: whoever uploads hears within 10 s that S3 hangs. (With
                # 10 s and `max_attempts` 2, which means three attempts, that took 33 s.)
                connect_timeout=3,
                read_timeout=4,
                retries={"mode": "standard", "total_max_attempts": 2},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                signature_version="s3v4",
                s3={"addressing_style": settings.AWS_S3_ADDRESSING_STYLE},
            ),
        }

    def put(self, key: str, content: IO[bytes], content_type: str) -> None:
        """Upload ``content`` from its start to its end under a key that was never used."""
        self.bucket.Object(self._normalize_name(key)).upload_fileobj(
            content, ExtraArgs={"ContentType": content_type}, Config=self.transfer_config
        )

    def read(self, key: str) -> bytes | None:
        """Return a whole object, None when there is none."""
        try:
            answer = self.bucket.Object(self._normalize_name(key)).get()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        content: bytes = answer["Body"].read()
        return content

    def link(self, key: str, name: str, content_type: str) -> str:
        """Return an address that S3 itself answers, with a signature over all of it."""
        answer = {
            "ResponseContentType": content_type,
            "ResponseContentDisposition": content_disposition_header(
                as_attachment=True, filename=name
            ),
            "ResponseCacheControl": "private, no-store",
        }
        return str(self.url(key, parameters=answer))

    def is_reachable(self) -> bool:
        """Return whether the bucket answers now."""
        try:
            self.bucket.meta.client.head_bucket(Bucket=self.bucket_name)
        except (BotoCoreError, ClientError):
            return False
        return True


class FolderStorage(FileSystemStorage):
    """Files below a folder, on the disk before they are said to be stored."""

    def put(self, key: str, content: IO[bytes], content_type: str) -> None:
        """Write ``content`` under a key that was never used and wait until the disk has it."""
        path = Path(self.path(key))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            shutil.copyfileobj(content, file, COPY_BYTES)
            file.flush()
            os.fsync(file.fileno())
        for folder in (path.parent, path.parent.parent):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def read(self, key: str) -> bytes | None:
        """Return a whole file, None when there is none."""
        try:
            return Path(self.path(key)).read_bytes()
        except FileNotFoundError:
            return None

    def link(self, key: str, name: str, content_type: str) -> str:
        """Return a path of this service that ``open_link`` understands until it expires."""
        return LINK_PATH + signing.dumps([key, name, content_type], salt=LINK_SALT)

    def is_reachable(self) -> bool:
        """Return whether there is a folder, or a place for one."""
        return True


@dataclass(frozen=True)
class Download:
    """An open file with what the client is to be told of it."""

    file: IO[bytes]
    name: str
    content_type: str


def new_key() -> str:
    """Return a key that nobody can guess (256 random bits) and that says nothing of its file."""
    token = secrets.token_hex(32)
    return f"files/{token[:2]}/{token}"


def put(key: str, content: IO[bytes], content_type: str) -> None:
    """Store ``content`` under a new key. Raises :class:`StorageUnavailable`."""
    with _failures_named():
        _storage.put(key, content, content_type)


def read(key: str) -> bytes | None:
    """Return a whole object, None when there is none. Raises :class:`StorageUnavailable`."""
    with _failures_named():
        content: bytes | None = _storage.read(key)
        return content


def delete(key: str) -> None:
    """Delete an object; deleting one that is gone succeeds. Raises :class:`StorageUnavailable`."""
    with _failures_named():
        _storage.delete(key)


def link(key: str, name: str, content_type: str) -> str:
    """Return an address, or a path of this service, that gives the file for 300 s to anybody.

    Raises :class:`StorageUnavailable` when there is nothing to sign with.
    """
    with _failures_named():
        return str(_storage.link(key, name, content_type))


def open_link(token: str) -> Download:
    """Return what a link of :class:`FolderStorage` points at.

    Raises :class:`InvalidLink` when it was not signed here, is too old, or its file is gone.
    """
    try:
        key, name, content_type = signing.loads(
            token, salt=LINK_SALT, max_age=settings.FILE_LINK_SECONDS
        )
        return Download(_storage.open(key), name, content_type)
    except (signing.BadSignature, ValueError, FileNotFoundError):
        raise InvalidLink from None


def clean_name(name: str) -> str:
    """Return a file name to keep: the last part of a path, NFC, at most 255 bytes of UTF-8.

    Control, format (bidi overrides among them) and unpaired surrogate characters go; what is left
    empty becomes ``file``. The ending survives shortening.
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    kept = "".join(c for c in last if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    kept = kept.strip()
    if kept.strip(".") == "":
        return "file"
    if len(kept.encode()) <= NAME_BYTES:
        return kept
    stem, dot, ending = kept.rpartition(".")
    ending = (dot + ending)[:20] if stem else ""
    room = NAME_BYTES - len(ending.encode())
    return (stem or kept).encode()[:room].decode(errors="ignore") + ending


def content_type_of(content: IO[bytes]) -> str:
    """Return the type that a file's first bytes prove, from a short list; else octets.

    What the client says of the type counts for nothing: it decides how browsers treat the file.
    """
    content.seek(0)
    start = content.read(TEXT_SAMPLE)
    content.seek(0)
    for signature, content_type in SIGNATURES:
        if signature.match(start):
            return content_type
    if b"\0" in start:
        return UNKNOWN_TYPE
    try:
        # The sample may end inside a character: of at most 4 bytes, 3 may be missing.
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < len(start) or len(start) - error.start > 3 or len(start) < TEXT_SAMPLE:
            return UNKNOWN_TYPE
    return "text/plain; charset=utf-8"


@contextmanager
def _failures_named() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error, OSError) as error:
        raise StorageUnavailable from error

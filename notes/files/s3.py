"""Objects in an S3 bucket. No ORM, no HTTP of ours."""

import base64
import bisect
import io
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.handlers import add_expect_header
from django.conf import settings
from django.utils.http import content_disposition_header
from storages.backends.s3 import S3Storage

from notes.files.types import Head, Listed, Parts, Unfinished

# Size of the parts of an object that is sent while it arrives: one part is filled while another is
# sent. Parts of 8 MiB took a quarter more time.
PART_BYTES = 16 * 2**20
READ_BYTES = 2**20
TIMEOUT_SECONDS = 3
ARRIVING_TYPE = "application/octet-stream"
MISSING = ("404", "NoSuchKey", "NotFound")


class BucketStorage(S3Storage):
    """django-storages' S3 with its unsafe or slow defaults changed."""

    def get_default_settings(self) -> dict[str, Any]:
        return {
            **super().get_default_settings(),
            "file_overwrite": False,
            "default_acl": None,
            "querystring_auth": True,
            "signature_version": "s3v4",
        }

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.client_config = Config(
            # Two attempts of 3 s: if S3 hangs, an upload fails within 10 s. (With 10 s and
            # `max_attempts` 2, which means three, it took 33 s.)
            connect_timeout=TIMEOUT_SECONDS,
            read_timeout=TIMEOUT_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 2},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            signature_version="s3v4",
            # AWS_ENDPOINT_URL is for the service's own bucket only, and is passed explicitly.
            ignore_configured_endpoint_urls=True,
            # TLS protects the bytes, as it does when clients send them directly. Hashing them for
            # the signature took a tenth of an upload's time, both here and on the server.
            s3={"addressing_style": self.addressing_style, "payload_signing_enabled": False},
        )

    def _create_session(self) -> Any:
        session = super()._create_session()
        # With `Expect`, a request waits a second longer if the server does not answer.
        session.events.unregister("before-call.s3", add_expect_header)
        return session

    @property
    def client(self) -> Any:
        """The S3 client of this thread; other threads may use it too."""
        return self.bucket.meta.client

    @property
    def verifies_checksums(self) -> bool:
        """Whether the store has compared the checksums that it returns.

        AWS refuses bytes that differ. Other stores repeat what the client sent: ``rclone serve s3``
        1.75 accepted any bytes and returned the announced checksum for them.
        """
        host = urlsplit(self.client.meta.endpoint_url).hostname or ""
        return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket_name, "Key": key}

    # Whole objects.

    def open_writer(self, key: str, *, on_parts: Callable[[str], None]) -> "BucketWriter":
        """Return a writer that sends an object to a new key while its bytes arrive."""
        return BucketWriter(self.client, self._at(key), on_parts)

    def head(self, key: str) -> Head | None:
        """Return size and checksum of an object, None if there is no object."""
        try:
            response = self.client.head_object(**self._at(key), ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return None
            raise
        checksum = response.get("ChecksumSHA256", "")
        # For an object in parts it is a checksum of checksums, followed by `-` and their number.
        is_whole = checksum and "-" not in checksum and self.verifies_checksums
        return Head(
            size=response["ContentLength"],
            sha256=base64.b64decode(checksum).hex() if is_whole else None,
            is_plain=not response.get("ContentEncoding"),
        )

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes] | None:
        """Return the bytes from ``start`` to before ``end``; None if there is no object."""
        options = {} if (start, end) == (0, None) else {"Range": f"bytes={start}-{(end or 0) - 1}"}
        if end is None and start:
            options = {"Range": f"bytes={start}-"}
        try:
            response = self.client.get_object(**self._at(key), **options)
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return None
            if error.response["Error"]["Code"] == "InvalidRange":  # the object is empty
                return iter(())
            raise
        chunks: Iterator[bytes] = response["Body"].iter_chunks(READ_BYTES)
        return chunks

    def copy(self, source: str, key: str) -> None:
        """Copy the bytes of an object of at most 5 GiB within the store.

        Headers that the client set are not copied; above all not Content-Encoding, which rclone
        would keep.
        """
        self.client.copy_object(
            **self._at(key),
            CopySource=self._at(source),
            MetadataDirective="REPLACE",
            ContentType=ARRIVING_TYPE,
        )

    def rename(self, source: str, key: str) -> None:
        """Have an object of at most 5 GiB under another key, in place of what is there."""
        self.copy(source, key)
        self.remove(source)

    def remove(self, key: str) -> None:
        """Delete an object; succeeds if it does not exist."""
        self.client.delete_object(**self._at(key))

    def listed(self, prefix: str) -> Iterator[Listed]:
        """Yield all objects whose keys start with ``prefix``, in the order of their keys."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket_name, Prefix=prefix
        )
        for page in pages:
            for entry in page.get("Contents", ()):
                yield Listed(entry["Key"], entry["Size"], entry["LastModified"])

    def link(self, key: str, name: str, content_type: str, *, is_inline: bool) -> str | None:
        """Return a signed address at which S3 itself serves the object."""
        headers = {
            "ResponseContentType": content_type,
            "ResponseContentDisposition": content_disposition_header(
                as_attachment=not is_inline, filename=name
            )
            or "inline",
            "ResponseCacheControl": f"private, max-age={settings.FILE_LINK_SECONDS}",
        }
        return self._signed("get_object", key, **headers)

    # Uploads that clients send directly.

    def upload_link(self, key: str, *, size: int, sha256: str) -> tuple[str, dict[str, str]] | None:
        """Return an address to PUT exactly these bytes to, and the headers to send with them."""
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        address = self._signed(
            "put_object",
            key,
            ContentType=ARRIVING_TYPE,
            ContentLength=size,
            ChecksumSHA256=checksum,
        )
        return address, {"Content-Type": ARRIVING_TYPE, "x-amz-checksum-sha256": checksum}

    @property
    def takes_parts(self) -> bool:
        """Whether an upload may be sent in parts."""
        return True

    def begin_parts(self, key: str) -> str:
        """Begin an upload in parts and return the store's id of it."""
        response = self.client.create_multipart_upload(**self._at(key), ContentType=ARRIVING_TYPE)
        return str(response["UploadId"])

    def part_link(self, key: str, upload_id: str, number: int, *, size: int) -> str:
        """Return an address to PUT a part of exactly this size to."""
        part = {"UploadId": upload_id, "PartNumber": number, "ContentLength": size}
        return self._signed("upload_part", key, **part)

    def parts(self, key: str, upload_id: str) -> Parts | None:
        """Return size and ETag of the stored parts, by number; None if the upload is over."""
        parts: Parts = {}
        pages = self.client.get_paginator("list_parts")
        try:
            for page in pages.paginate(**self._at(key), UploadId=upload_id):
                for part in page.get("Parts", ()):
                    parts[part["PartNumber"]] = (part["Size"], part["ETag"])
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchUpload":
                return None
            raise
        return parts

    def finish_parts(self, key: str, upload_id: str, parts: Parts) -> None:
        """Assemble the parts to an object."""
        named = [{"PartNumber": number, "ETag": parts[number][1]} for number in sorted(parts)]
        self.client.complete_multipart_upload(
            **self._at(key), UploadId=upload_id, MultipartUpload={"Parts": named}
        )

    def abort_parts(self, key: str, upload_id: str) -> None:
        """Abort an upload in parts; succeeds if it is over already."""
        try:
            self.client.abort_multipart_upload(**self._at(key), UploadId=upload_id)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchUpload":
                raise

    def unfinished(self) -> Iterator[Unfinished]:
        """Yield the uploads in parts that are neither finished nor aborted."""
        pages = self.client.get_paginator("list_multipart_uploads")
        try:
            for page in pages.paginate(Bucket=self.bucket_name):
                for upload in page.get("Uploads", ()):
                    yield Unfinished(upload["Key"], upload["UploadId"], upload["Initiated"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchUpload":  # rclone, if there are none
                raise

    def is_reachable(self) -> bool:
        """Return whether the bucket responds now."""
        try:
            self.client.head_bucket(Bucket=self.bucket_name)
        except (BotoCoreError, ClientError):
            return False
        return True

    def _signed(self, operation: str, key: str, **parameters: Any) -> str:
        return str(
            self.client.generate_presigned_url(
                operation,
                Params={**self._at(key), **parameters},
                ExpiresIn=settings.FILE_LINK_SECONDS,
            )
        )


class Pieces(io.RawIOBase):
    """A readable file over a list of byte strings, without joining them into one."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.starts = [0, *itertools.accumulate(map(len, pieces))]
        self.place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        from_here = {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.starts[-1]}
        self.place = from_here[whence] + offset
        return self.place

    def read(self, size: int = -1) -> bytes:
        """Return the rest of a piece, at most ``size`` bytes; without ``size`` all that is left."""
        if size < 0:
            return b"".join(iter(lambda: self.read(READ_BYTES), b""))
        if self.place >= self.starts[-1]:
            return b""
        number = bisect.bisect_right(self.starts, self.place) - 1
        start = self.place - self.starts[number]
        taken = self.pieces[number][start : start + size]
        self.place += len(taken)
        return taken


class BucketWriter:
    """Sends an object while its bytes arrive: a small one in one request, a large one in parts.

    At most two parts are in memory: one is filled while the other is sent.
    """

    def __init__(self, client: Any, where: dict[str, str], on_parts: Callable[[str], None]) -> None:
        self.client, self.where, self.on_parts = client, where, on_parts
        self.pieces: list[bytes] = []
        self.size = 0  # of the pieces
        self.upload_id = ""
        self.sent: list[dict[str, Any]] = []
        self.sender: ThreadPoolExecutor | None = None
        self.on_its_way: Future[dict[str, Any]] | None = None

    def write(self, chunk: bytes) -> None:
        """Add bytes; raises the error of a part that was sent before, if there is one."""
        self.pieces.append(chunk)
        self.size += len(chunk)
        if self.size >= PART_BYTES:
            self._send()

    def finish(self) -> None:
        """Send the rest and let the store make the object."""
        if not self.upload_id:
            body = Pieces(self.pieces)
            self.client.put_object(**self.where, Body=body, ContentType=ARRIVING_TYPE)
            return
        if self.size:
            self._send()
        self._wait()
        self.client.complete_multipart_upload(
            **self.where, UploadId=self.upload_id, MultipartUpload={"Parts": self.sent}
        )
        self._stop()

    def abort(self) -> None:
        """Stop sending; the caller, who knows the key, deletes what was sent."""
        self._stop()

    def _send(self) -> None:
        if not self.upload_id:
            response = self.client.create_multipart_upload(**self.where, ContentType=ARRIVING_TYPE)
            self.upload_id = response["UploadId"]
            self.on_parts(self.upload_id)
            self.sender = ThreadPoolExecutor(1, thread_name_prefix="part")
        assert self.sender is not None
        self._wait()
        body, number = Pieces(self.pieces), len(self.sent) + 1
        self.pieces, self.size = [], 0
        self.on_its_way = self.sender.submit(self._put, number, body)

    def _put(self, number: int, body: "Pieces") -> dict[str, Any]:
        response = self.client.upload_part(
            **self.where, UploadId=self.upload_id, PartNumber=number, Body=body
        )
        return {"PartNumber": number, "ETag": response["ETag"]}

    def _wait(self) -> None:
        if self.on_its_way is not None:
            self.sent.append(self.on_its_way.result())
            self.on_its_way = None

    def _stop(self) -> None:
        if self.sender is not None:
            self.sender.shutdown(wait=False, cancel_futures=True)

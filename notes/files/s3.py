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

# Of what is sent while it arrives: one part is filled while another is on its way. Parts of 8 MiB
# took a quarter more time.
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
            # Two attempts of 3 s: whoever uploads hears within 10 s that S3 hangs. (With 10 s and
            # `max_attempts` 2, which means three, it took 33 s.)
            connect_timeout=TIMEOUT_SECONDS,
            read_timeout=TIMEOUT_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 2},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            signature_version="s3v4",
            # AWS_ENDPOINT_URL is of the service's own bucket alone, and is given as such.
            ignore_configured_endpoint_urls=True,
            # What is sent is protected by TLS, as it is when clients send it themselves; hashing it
            # for the signature took a tenth of an upload's time, here and there.
            s3={"addressing_style": self.addressing_style, "payload_signing_enabled": False},
        )

    def _create_session(self) -> Any:
        session = super()._create_session()
        # Asking first whether a body may come (Expect) waits a second longer where nobody answers.
        session.events.unregister("before-call.s3", add_expect_header)
        return session

    @property
    def client(self) -> Any:
        """The client of this thread, which other threads may use too."""
        return self.bucket.meta.client

    @property
    def verifies_checksums(self) -> bool:
        """Whether a checksum that the store tells is one that it has compared.

        AWS refuses bytes that differ. Others repeat what the client has said: ``rclone serve s3``
        1.75 took any bytes and told the announced checksum of them.
        """
        host = urlsplit(self.client.meta.endpoint_url).hostname or ""
        return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket_name, "Key": key}

    # Whole objects.

    def open_writer(self, key: str, *, on_parts: Callable[[str], None]) -> "BucketWriter":
        """Return what sends an object under a key that was never used, as its bytes come."""
        return BucketWriter(self.client, self._at(key), on_parts)

    def head(self, key: str) -> Head | None:
        """Return what there is to know of an object without its bytes, None if there is none."""
        try:
            response = self.client.head_object(**self._at(key), ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return None
            raise
        checksum = response.get("ChecksumSHA256", "")
        # Of an object in parts it is a checksum of checksums, with their number.
        is_whole = checksum and "-" not in checksum and self.verifies_checksums
        return Head(
            size=response["ContentLength"],
            sha256=base64.b64decode(checksum).hex() if is_whole else None,
            is_plain=not response.get("ContentEncoding"),
        )

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes] | None:
        """Return the bytes of an object from ``start`` to before ``end``; None if there is none."""
        options = {} if (start, end) == (0, None) else {"Range": f"bytes={start}-{(end or 0) - 1}"}
        if end is None and start:
            options = {"Range": f"bytes={start}-"}
        try:
            response = self.client.get_object(**self._at(key), **options)
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return None
            if error.response["Error"]["Code"] == "InvalidRange":  # of an empty object
                return iter(())
            raise
        chunks: Iterator[bytes] = response["Body"].iter_chunks(READ_BYTES)
        return chunks

    def copy(self, source: str, key: str) -> None:
        """Have the store itself copy an object of at most 5 GiB to a key, the bytes alone.

        Not what a client has said of them, a Content-Encoding above all (which rclone keeps).
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
        """Delete an object; deleting one that is gone succeeds."""
        self.client.delete_object(**self._at(key))

    def listed(self, prefix: str) -> Iterator[Listed]:
        """Yield all objects whose keys begin so, in the order of their keys."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket_name, Prefix=prefix
        )
        for page in pages:
            for entry in page.get("Contents", ()):
                yield Listed(entry["Key"], entry["Size"], entry["LastModified"])

    def link(self, key: str, name: str, content_type: str, *, is_inline: bool) -> str | None:
        """Return an address that S3 itself answers, with a signature over all of it."""
        headers = {
            "ResponseContentType": content_type,
            "ResponseContentDisposition": content_disposition_header(
                as_attachment=not is_inline, filename=name
            )
            or "inline",
            "ResponseCacheControl": "private, no-store",
        }
        return self._signed("get_object", key, **headers)

    # What clients send themselves.

    def upload_link(self, key: str, *, size: int, sha256: str) -> tuple[str, dict[str, str]] | None:
        """Return an address to PUT exactly these bytes to, and the headers that have to come."""
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
        """Whether an upload may come in parts."""
        return True

    def begin_parts(self, key: str) -> str:
        """Begin an upload in parts and return what the store calls it."""
        response = self.client.create_multipart_upload(**self._at(key), ContentType=ARRIVING_TYPE)
        return str(response["UploadId"])

    def part_link(self, key: str, upload_id: str, number: int, *, size: int) -> str:
        """Return an address to PUT a part of exactly this size to."""
        part = {"UploadId": upload_id, "PartNumber": number, "ContentLength": size}
        return self._signed("upload_part", key, **part)

    def parts(self, key: str, upload_id: str) -> Parts | None:
        """Return the parts that have come: size and name by number. None if it is over."""
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
        """Make an object of the parts."""
        named = [{"PartNumber": number, "ETag": parts[number][1]} for number in sorted(parts)]
        self.client.complete_multipart_upload(
            **self._at(key), UploadId=upload_id, MultipartUpload={"Parts": named}
        )

    def abort_parts(self, key: str, upload_id: str) -> None:
        """Drop an upload in parts; one that is over is left."""
        try:
            self.client.abort_multipart_upload(**self._at(key), UploadId=upload_id)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchUpload":
                raise

    def unfinished(self) -> Iterator[Unfinished]:
        """Yield the uploads in parts that are neither finished nor dropped."""
        pages = self.client.get_paginator("list_multipart_uploads")
        try:
            for page in pages.paginate(Bucket=self.bucket_name):
                for upload in page.get("Uploads", ()):
                    yield Unfinished(upload["Key"], upload["UploadId"], upload["Initiated"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchUpload":  # what rclone says of none
                raise

    def is_reachable(self) -> bool:
        """Return whether the bucket answers now."""
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
    """Bytes in pieces as a file to be read, without a copy of all of them in one place."""

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
        """Return what is left of a piece, at most ``size`` bytes; all that is left without it."""
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
    """Sends an object as its bytes come: small ones at the end, in one request, others in parts.

    At most two parts are in memory, one being filled and one on its way.
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
        """Take some more bytes; whatever went wrong with those before is raised here."""
        self.pieces.append(chunk)
        self.size += len(chunk)
        if self.size >= PART_BYTES:
            self._send()

    def finish(self) -> None:
        """Have the store make an object of all that came."""
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
        """Stop sending; what was sent is left to who knows the key."""
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

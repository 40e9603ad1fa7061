"""Storages as URLs, for ``OTHER_STORAGE``."""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


def read(url: str, region: str) -> dict[str, Any]:
    """Return the entry of Django's ``STORAGES`` for ``file:///folder`` or ``s3://bucket``.

    A bucket may have ``user:password@`` (percent-encoded) and ``?endpoint=…&region=…``; without
    them, the machine's role and ``region`` are used. Raises SystemExit for any other URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path.startswith("/"):
        return {
            "BACKEND": "notes.files.filesystem.FolderStorage",
            "OPTIONS": {"location": unquote(parts.path)},
        }
    bucket = parts.netloc.rpartition("@")[2]
    if parts.scheme != "s3" or not bucket:
        raise SystemExit(
            "CloudNotes cannot start: OTHER_STORAGE is not file:///folder or "
            "s3://key:secret@bucket?endpoint=https://…&region=…"
        )
    params = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    endpoint = params.get("endpoint")
    return {
        "BACKEND": "notes.files.s3.BucketStorage",
        "OPTIONS": {
            "bucket_name": bucket,
            "region_name": params.get("region") or region or None,
            "access_key": unquote(parts.username) if parts.username else None,
            "secret_key": unquote(parts.password) if parts.password else None,
            "endpoint_url": endpoint,
            "addressing_style": "path" if endpoint else "auto",
            "querystring_expire": 300,
        },
    }

"""Responses that contain a file or redirect to one."""

import datetime as dt
from collections.abc import Iterator

from django.conf import settings
from django.core import signing
from django.http import Http404, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header, http_date, parse_http_date_safe

from cloudnotes.api.conditional import etag_matches
from cloudnotes.api.errors import respond
from notes.files import filetypes, storage
from notes.files.models import StoredObject
from notes.files.ranges import Unsatisfiable, read_range

SALT = "notes.downloads"
# At an address of one object, which is good for so long (FILE_LINK_SECONDS).
FIXED = f"private, max-age={settings.FILE_LINK_SECONDS}"


class Stream(StreamingHttpResponse):
    """A response that sends a file in pieces; a thread reads one piece at a time."""

    def __init__(self, pieces: Iterator[bytes], *, status: int, content_type: str) -> None:
        super().__init__(pieces, status=status, content_type=content_type)
        # However the browser displays the file, it runs no scripts and makes no requests.
        self.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
        self.headers["X-Content-Type-Options"] = "nosniff"


def answer(
    stored: StoredObject,
    name: str,
    *,
    headers: dict[str, str],
    is_inline: bool = False,
    is_fixed: bool = False,
) -> HttpResponseBase:
    """Return a file, a range of it (RFC 9110, 14), 304, or a redirect to the storage.

    ``headers`` are the request's, by lower-case names. With ``is_inline`` the browser displays the
    file if its type is in ``filetypes.INLINE_TYPES``; all other files are saved. The client may
    keep the file, but asks whether it is still this one, except at an address that is of this
    object alone (``is_fixed``), for as long as such an address is good. Raises Http404 if the
    object does not exist, and :class:`notes.files.storage.StorageUnavailable`.
    """
    tag = f'"{stored.sha256}"'
    validators = {
        "ETag": tag,
        "Last-Modified": http_date(stored.created_at.timestamp()),
        "Cache-Control": FIXED if is_fixed else "private, no-cache",
    }
    if _is_known(headers, tag, stored.created_at):
        return HttpResponse(status=304, headers=validators)
    is_inline = is_inline and stored.content_type in filetypes.INLINE_TYPES
    link = storage.link(stored.key, name, stored.content_type, is_inline=is_inline)
    if link is not None:
        return HttpResponseRedirect(link, headers={"ETag": tag})
    range_header = headers.get("range", "")
    if "if-range" in headers and headers["if-range"].strip() != tag:
        range_header = ""
    try:
        part = read_range(range_header, stored.size)
    except Unsatisfiable:
        response = respond(
            416, "range_not_satisfiable", f"The file has {stored.size} bytes; ask for some of them."
        )
        response.headers["Content-Range"] = f"bytes */{stored.size}"
        response.headers["ETag"] = tag
        return response
    start, end = part or (0, stored.size)
    pieces = storage.stream(stored.key, start, end)
    if pieces is None:
        raise Http404
    stream = Stream(pieces, status=206 if part else 200, content_type=stored.content_type)
    for header, value in validators.items():
        stream.headers[header] = value
    stream.headers["Accept-Ranges"] = "bytes"
    stream.headers["Content-Length"] = str(end - start)
    if part:
        stream.headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size}"
    disposition = content_disposition_header(as_attachment=not is_inline, filename=name)
    stream.headers["Content-Disposition"] = disposition or "inline"
    return stream


def _is_known(headers: dict[str, str], tag: str, modified_at: dt.datetime) -> bool:
    """Return whether the client has the file already (RFC 9110, 13.2.2)."""
    if "if-none-match" in headers:
        return etag_matches(headers["if-none-match"], tag)
    since = parse_http_date_safe(headers.get("if-modified-since", ""))
    return since is not None and int(modified_at.timestamp()) <= since


def display_path(note_id: int, attachment_id: int, object_id: int, name: str) -> str:
    """Return a path at which anybody can display or download a file for 300 s."""
    payload = [note_id, attachment_id, object_id, name]
    return "/files/" + signing.dumps(payload, salt=SALT)


def read_display_path(
    token: str, *, is_of_any_age: bool = False
) -> tuple[int, int, int, str] | None:
    """Return note, attachment, object and name of a display path; None if it is not valid."""
    try:
        max_age = None if is_of_any_age else settings.FILE_LINK_SECONDS
        note_id, attachment_id, object_id, name = signing.loads(token, salt=SALT, max_age=max_age)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return note_id, attachment_id, object_id, name

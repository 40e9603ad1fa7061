"""Responses that contain a file or redirect to one."""

from collections.abc import Iterator

from django.conf import settings
from django.core import signing
from django.http import Http404, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from cloudnotes.api.conditional import etag_matches
from notes.files import filetypes, storage
from notes.files.models import StoredObject
from notes.files.ranges import Unsatisfiable, read_range

SALT = "notes.downloads"


class Stream(StreamingHttpResponse):
    """A response that sends a file in pieces; a thread reads one piece at a time."""

    def __init__(self, pieces: Iterator[bytes], *, status: int, content_type: str) -> None:
        super().__init__(pieces, status=status, content_type=content_type)
        # However the browser displays the file, it runs no scripts and makes no requests.
        self.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
        self.headers["X-Content-Type-Options"] = "nosniff"
        self.headers["Cache-Control"] = "private, no-store"


def answer(
    stored: StoredObject, name: str, *, headers: dict[str, str], is_inline: bool = False
) -> HttpResponseBase:
    """Return a file, a range of it (RFC 9110, 14), 304, or a redirect to the storage.

    ``headers`` are the request's, by lower-case names. With ``is_inline`` the browser displays the
    file if its type is in ``filetypes.INLINE_TYPES``; all other files are saved. Raises Http404 if
    the object does not exist, and :class:`notes.files.storage.StorageUnavailable`.
    """
    tag = f'"{stored.sha256}"'
    if etag_matches(headers.get("if-none-match", ""), tag):
        return HttpResponse(status=304, headers={"ETag": tag})
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
        return HttpResponse(
            status=416, headers={"Content-Range": f"bytes */{stored.size}", "ETag": tag}
        )
    start, end = part or (0, stored.size)
    pieces = storage.stream(stored.key, start, end)
    if pieces is None:
        raise Http404
    response = Stream(pieces, status=206 if part else 200, content_type=stored.content_type)
    response.headers["ETag"] = tag
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Content-Length"] = str(end - start)
    if part:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size}"
    disposition = content_disposition_header(as_attachment=not is_inline, filename=name)
    response.headers["Content-Disposition"] = disposition or "inline"
    return response


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

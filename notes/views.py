"""What is answered without a token: signed links to files that lie on the disk."""

from django.http import FileResponse, Http404, HttpRequest
from django.views.decorators.http import require_safe

from notes import storage


class Stream(FileResponse):
    """A file in pieces of 256 KiB: each piece is one visit of a thread."""

    block_size = 256 * 2**10


@require_safe
def download(request: HttpRequest, token: str) -> FileResponse:
    """Send the file that a signed link names, to be saved and never shown."""
    try:
        found = storage.open_link(token)
    except storage.InvalidLink:
        raise Http404 from None
    response = Stream(
        found.file, as_attachment=True, filename=found.name, content_type=found.content_type
    )
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers["Cache-Control"] = "private, no-store"
    return response

"""Views without a token: signed links to download files, and to upload them to a folder."""

from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from cloudnotes.api import errors
from cloudnotes.api.errors import DomainError
from cloudnotes.api.routes import waits_for_storage
from notes.files import downloads, storage
from notes.models import StoredObject

PIECE_BYTES = 2**18


@waits_for_storage("GET", "HEAD")
@require_safe
def download(request: HttpRequest, token: str) -> HttpResponseBase:
    """Return the file of a signed display link."""
    payload = downloads.read_display_path(token)
    stored = payload and StoredObject.objects.filter(pk=payload[2], state="ready").first()
    if not payload or not stored:
        raise Http404
    headers = {name.lower(): value for name, value in request.headers.items()}
    return downloads.answer(stored, payload[3], headers=headers, is_inline=True, is_fixed=True)


@waits_for_storage("PUT")
@csrf_exempt
@require_http_methods(["PUT"])
def receive(request: HttpRequest, token: str) -> HttpResponse:
    """Receive the bytes of an upload link, if the storage is a folder.

    As S3 does for its links: only the announced bytes, any number of times until the link expires.
    """
    try:
        announced = storage.read_upload_link(token)
    except storage.InvalidLink:
        raise Http404 from None
    key = storage.arrived(announced.key)
    if not StoredObject.objects.filter(key=key, state=StoredObject.State.PENDING).exists():
        raise Http404  # the upload is over; nothing would count or delete these bytes
    try:
        if int(request.META.get("CONTENT_LENGTH") or 0) != announced.size:
            raise storage.WrongBytes
        storage.take(announced, iter(lambda: request.read(PIECE_BYTES), b""))
    except (DomainError, UnreadablePostError) as error:
        answer = errors.answer(error)
        if answer is None:
            raise
        return answer
    return HttpResponse(status=200)

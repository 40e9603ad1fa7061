"""Addresses of this service: what a POST has created, and whether one is its own."""

from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host
from rest_framework.request import Request


def location(request: Request, key: int, *, collection: str = "") -> str:
    """Return the ``Location`` (RFC 9110, 10.2.2) of something new: its key below its collection.

    ``collection`` is that path; without it, the path of the request, which may be an older address
    of the same view.
    """
    path = collection or request.path.rstrip("/")
    return request.build_absolute_uri(f"{path}/{key}")


def is_own(root: str) -> bool:
    """Return whether this service answers at a root such as ``https://notes.example.org``.

    Those are ``PUBLIC_BASE_URL`` and the names in ``ALLOWED_HOSTS``, but not ``*``.
    """
    if root == settings.PUBLIC_BASE_URL:
        return True
    try:
        host = urlsplit(root).hostname or ""
    except ValueError:
        return False
    return validate_host(host, [name for name in settings.ALLOWED_HOSTS if name != "*"])

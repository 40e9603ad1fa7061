"""The ``Location`` of what a POST has created (RFC 9110, 10.2.2)."""

from rest_framework.request import Request


def location(request: Request, key: int, *, collection: str = "") -> str:
    """Return the URL of something new: its key below the path of its collection.

    ``collection`` is that path; without it, the path of the request, which may be an older address
    of the same view.
    """
    path = collection or request.path.rstrip("/")
    return request.build_absolute_uri(f"{path}/{key}")

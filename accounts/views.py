"""Views without a token: pictures of users, for everybody who knows their URL."""

import re
from typing import ClassVar

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from accounts import pictures
from accounts.actions import avatars
from accounts.models import Avatar
from cloudnotes.api.conditional import etag_matches
from cloudnotes.api.errors import DomainError
from cloudnotes.api.routes import waits_for_storage
from cloudnotes.api.validation import InputSerializer
from cloudnotes.api.views import APIView

AVATAR_ID = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)
DEFAULT_SIZE = "256"
ATTEMPTS = 2


class UnknownSize(DomainError):
    """The requested size does not exist."""

    code = "unknown_size"
    detail = f"Ask for a size of {', '.join(map(str, pictures.SIZES))}."
    field = "size"


class PictureQuerySerializer(InputSerializer):
    """Which picture."""

    size = serializers.CharField(required=False, allow_blank=True)


@waits_for_storage("GET", "HEAD")
class PictureView(APIView):
    """A picture, to be shown on any site: the address alone opens it, as an <img> has no token."""

    authentication_classes = ()
    permission_classes = ()
    query_serializers: ClassVar = {"GET": PictureQuerySerializer}
    throttle_classes = ()  # a page may show hundreds, and they are cached

    def get(self, request: Request, avatar_id: str) -> HttpResponse:
        """Send the picture in the size asked for, or 304 to whoever has it already."""
        size = chosen_size(self.query.get("size", DEFAULT_SIZE))
        if not AVATAR_ID.fullmatch(avatar_id):
            raise NotFound
        for _ in range(ATTEMPTS):  # retry if it was replaced between the query and the read
            avatar = Avatar.objects.filter(user__avatar_id=avatar_id, size=size).first()
            if avatar is None:
                raise NotFound
            if has_current(request, avatar):
                return answer(avatar, status=304)
            image = avatars.read(avatar=avatar)
            if image is not None:
                return answer(avatar, image)
        raise NotFound


def chosen_size(size: str) -> int:
    """Return the width in pixels from ``?size=``. Raises :class:`UnknownSize`."""
    if size not in map(str, pictures.SIZES):
        raise UnknownSize
    return int(size)


def has_current(request: Request, avatar: Avatar) -> bool:
    """Return whether ``If-None-Match`` names this picture (RFC 9110, 13.1.2)."""
    return etag_matches(request.headers.get("If-None-Match", ""), f'"{avatar.etag}"')


def answer(avatar: Avatar, image: bytes = b"", status: int = 200) -> HttpResponse:
    """Return a response with a picture that any site may show, and that can run nothing."""
    response = HttpResponse(image, status=status, content_type=pictures.CONTENT_TYPE)
    response.headers["ETag"] = f'"{avatar.etag}"'
    response.headers["Cache-Control"] = "public, max-age=300"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response

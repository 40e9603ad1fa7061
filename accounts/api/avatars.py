"""``auth/me/avatar``: the picture of the caller's account."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import pictures
from accounts.actions import avatars
from accounts.api.me import UserSerializer
from accounts.callers import get_user
from cloudnotes.api.routes import waits_for_storage
from cloudnotes.api.validation import InputSerializer
from cloudnotes.api.views import APIView

FORM_BYTES = 64 * 2**10  # allowed for the form around the file


class PictureSerializer(InputSerializer):
    """A PNG, JPEG, GIF or WebP file of at most 5 MiB in a multipart form."""

    avatar = serializers.FileField(allow_empty_file=True, max_length=1000)


@waits_for_storage("DELETE")
class AvatarView(APIView):
    """The picture of whoever asks."""

    parser_classes = (MultiPartParser,)
    problems: ClassVar = {
        404: "There is no picture.",
        413: "The file is above 5 MiB, or the picture above 25 million pixels.",
    }

    @extend_schema(
        request={"multipart/form-data": PictureSerializer}, responses={200: UserSerializer}
    )
    def put(self, request: Request) -> Response:
        """Set or replace the picture; its middle is cut out as a square."""
        if int(request.META.get("CONTENT_LENGTH") or 0) > pictures.MAX_BYTES + FORM_BYTES:
            raise pictures.PictureTooLarge  # before the body is read
        serializer = PictureSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        images = pictures.cut(serializer.validated_data["avatar"])
        user = avatars.set_avatar(user=get_user(request), images=images)
        return Response(UserSerializer(user, context={"request": request}).data)

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Take the picture away."""
        if get_user(request).avatar_id is None:
            raise NotFound
        avatars.remove_avatar(user=get_user(request))
        return Response(status=204)

"""``tags``: list, rename, merge and delete tags."""

from typing import Any, ClassVar

from django.db.models import Count, Min
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import get_caller
from cloudnotes.api.validation import InputSerializer, validate
from cloudnotes.api.views import GenericAPIView
from notes.actions import bulk
from notes.api.fields import TagField
from notes.api.permissions import WRITING_SCOPES
from notes.models import Note, Tagging, tags


class TagSerializer(serializers.Serializer[Any]):
    """A tag, with how many live notes have it."""

    name = serializers.CharField()
    notes = serializers.IntegerField()


class TagsSerializer(serializers.Serializer[Any]):
    """All tags by name."""

    results = TagSerializer(many=True)


class RenameSerializer(InputSerializer):
    """What to call it from now on; where that is a tag already, the two are one."""

    name = TagField()


class TagViewSet(viewsets.ViewSetMixin, GenericAPIView[Tagging]):
    """The tags of the notes that the caller may see."""

    scopes: ClassVar = WRITING_SCOPES
    queryset = Tagging.objects.none()
    pagination_class = None

    @extend_schema(responses={200: TagsSerializer})
    def overview(self, request: Request) -> Response:
        """List all tags of live notes, by name."""
        notes = Note.objects.visible_to(get_caller(request)).live()
        taggings = Tagging.objects.filter(owner_id=get_caller(request).pk, note__in=notes).values(
            "folded"
        )
        rows = taggings.annotate(spelled=Min("name"), notes=Count("pk")).order_by("folded")
        return Response(
            {"results": [{"name": row["spelled"], "notes": row["notes"]} for row in rows]}
        )

    @extend_schema(request=RenameSerializer, responses={200: TagSerializer})
    def rename(self, request: Request, name: str) -> Response:
        """Rename a tag on every note that has it, those in the trash too."""
        to, now = validate(RenameSerializer, request.data)["name"], timezone.now()
        new_name, count = bulk.rename_tag(name=_parse(name), to=to, by=get_caller(request), now=now)
        return Response({"name": new_name, "notes": count})

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, name: str) -> Response:
        """Take a tag off every note that has it; the notes stay."""
        bulk.delete_tag(name=_parse(name), by=get_caller(request), now=timezone.now())
        return Response(status=204)


def _parse(text: str) -> str:
    """Return the tag that a URL names, in its normal form. Raises NothingThere."""
    try:
        return tags.parse(text)
    except tags.InvalidTag:
        raise bulk.NothingThere from None

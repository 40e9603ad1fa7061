"""``notes/bulk``: one operation on many notes."""

from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.fields import CategoryField
from accounts.callers import get_caller
from cloudnotes.api.routes import waits_for_storage
from cloudnotes.api.validation import InputSerializer, refuse_others, validate
from cloudnotes.api.views import APIView
from notes import access
from notes.actions import bulk
from notes.api.fields import TagsField
from notes.api.permissions import WRITING_SCOPES

NEEDS = {"tag": "tags", "untag": "tags", "move": "category"}


class BulkSerializer(InputSerializer):
    """What to do with which notes."""

    op = serializers.ChoiceField(choices=[*bulk.OPERATIONS])
    ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        allow_empty=False,
        max_length=bulk.MAX_NOTES,
    )
    tags = TagsField(required=False, help_text="For `tag` and `untag`.")
    category = CategoryField(required=False, help_text="For `move`; '' for none.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        needed = NEEDS.get(attrs["op"])
        refuse_others(attrs, {"op", "ids", *([needed] if needed else [])})
        if needed and needed not in attrs:
            raise serializers.ValidationError({needed: "This operation needs it."})
        return attrs


class FiledSerializer(serializers.Serializer[Any]):
    """What became of a note."""

    id = serializers.IntegerField()
    status = serializers.ChoiceField(choices=["applied", "unchanged", "not_found"])
    version = serializers.IntegerField(required=False)


class FiledNotesSerializer(serializers.Serializer[Any]):
    """What became of the notes, in the order of the ids."""

    results = FiledSerializer(many=True)


@waits_for_storage("POST")
class BulkView(APIView):
    """One operation on many notes."""

    scopes: ClassVar = WRITING_SCOPES

    @extend_schema(request=BulkSerializer, responses={200: FiledNotesSerializer})
    def post(self, request: Request) -> Response:
        """Tag, untag, move, flag, trash, restore or purge at most 500 notes, in one transaction.

        `purge` deletes for good, with history and files. Ids that are not there, or not where the
        operation looks (the trash for `restore` and `purge`), are `not_found` and stop nobody. No
        version is asked for: where the one in the answer is more than yours and one, somebody else
        has written too, and the note is to be read.
        """
        validated, caller = validate(BulkSerializer, request.data), get_caller(request)
        value = validated.get(NEEDS.get(validated["op"], ""), "")
        if validated["op"] == "move" and not access.may_file_under(caller, value):
            raise PermissionDenied
        results = bulk.apply_bulk(
            operation=validated["op"],
            ids=validated["ids"],
            value=value,
            by=caller,
            now=timezone.now(),
        )
        return Response({"results": [result_json(result) for result in results]})


def result_json(result: bulk.BulkResult) -> dict[str, Any]:
    """Return the result for one note as a JSON object."""
    if result.version is None:
        return {"id": result.note_id, "status": "applied" if result.is_changed else "not_found"}
    status = "applied" if result.is_changed else "unchanged"
    return {"id": result.note_id, "status": status, "version": result.version}

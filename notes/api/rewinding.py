"""``rewind``: restores all notes of an account or a category as they were at a time."""

from dataclasses import asdict
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.fields import CategoryField
from accounts.callers import get_caller
from cloudnotes.api.validation import InputSerializer, TimeField, validate
from cloudnotes.api.views import APIView
from notes.actions import rewinding
from notes.api.permissions import WRITING_SCOPES


class RewindSerializer(InputSerializer):
    """What to bring back to when."""

    to = TimeField()
    category = CategoryField(
        default="", help_text="Only what lies in it now or lay in it then; without it, everything."
    )
    after = serializers.IntegerField(
        default=0, min_value=0, max_value=2**63 - 1, help_text="The `next` of the answer before."
    )
    dry_run = serializers.BooleanField(
        default=False, help_text="Only say what would change, and change nothing."
    )

    def validate_to(self, to: Any) -> Any:
        if to > timezone.now():
            raise serializers.ValidationError("Send a time of the past.", code="invalid")
        return to


class RewoundSerializer(serializers.Serializer[Any]):
    """A note that changes; ``version`` is what it was in then, null if it was not written yet."""

    id = serializers.IntegerField(source="note_id")
    title = serializers.CharField()
    effect = serializers.ChoiceField(choices=["update", "trash", "restore"])
    version = serializers.IntegerField(allow_null=True)


class RewindAnswerSerializer(serializers.Serializer[Any]):
    """What changed, or would; ``next`` is the ``after`` of another call, null when all is done."""

    changes = RewoundSerializer(many=True)
    next = serializers.IntegerField(allow_null=True)
    dry_run = serializers.BooleanField()


class RewindView(APIView):
    """The notes of the caller."""

    scopes: ClassVar = WRITING_SCOPES

    @extend_schema(request=RewindSerializer, responses={200: RewindAnswerSerializer})
    def post(self, request: Request) -> Response:
        """Bring title, content, category, tags and trash back to a time, as new versions.

        Nothing is lost by it: what is replaced is in the history, and what was not written yet
        goes to the trash. At most 500 notes or 16 MiB change in a call: repeat it with `next` as
        `after` until that is null.
        """
        validated = validate(RewindSerializer, request.data)
        changes, next_after = rewinding.rewind(
            caller=get_caller(request), **validated, now=timezone.now()
        )
        payload = {
            "changes": [asdict(change) for change in changes],
            "next": next_after,
            "dry_run": validated["dry_run"],
        }
        return Response(RewindAnswerSerializer(payload).data)

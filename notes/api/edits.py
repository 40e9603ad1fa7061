"""``notes/{id}/edits``: small changes of a note without sending its whole content."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import get_caller
from accounts.permissions import has_scope, require_scope
from cloudnotes.api.validation import InputSerializer, refuse_others, validate
from notes.actions import edits
from notes.api import preconditions
from notes.api.fields import ContentField
from notes.api.representation import NoteEndpoint, NoteSerializer

NEEDED = {
    "append": ("text",),
    "prepend": ("text",),
    "replace": ("old", "text"),
    "toggle_task": ("task",),
}


class EditSerializer(InputSerializer):
    """One edit: what it needs depends on ``op``."""

    op = serializers.ChoiceField(choices=list(NEEDED))
    text = ContentField(
        is_fragment=True,
        required=False,
        help_text="append, prepend: the text for lines of its own. replace: what to put there.",
    )
    old = ContentField(
        is_fragment=True,
        required=False,
        allow_blank=False,
        help_text="replace: a text that occurs exactly once.",
    )
    task = serializers.IntegerField(
        required=False, min_value=1, max_value=2**20, help_text="toggle_task: which, from 1."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        refuse_others(attrs, {"op", *NEEDED[attrs["op"]]})
        missing = [name for name in NEEDED[attrs["op"]] if name not in attrs]
        if missing:
            raise serializers.ValidationError(
                dict.fromkeys(missing, f"{attrs['op']} needs this."), code="required"
            )
        return attrs


class EditsView(NoteEndpoint):
    """Edits of a note that the caller may see."""

    serializer_class = EditSerializer
    pagination_class = None
    conditional = ("POST",)
    problems = {
        409: "`old` does not occur exactly once, or there is no such task; `count` says how often "
        "it does, or how many there are.",
    }

    @extend_schema(
        request=EditSerializer,
        responses={
            200: NoteSerializer,
            204: OpenApiResponse(description="Done, with a token that may not read."),
        },
    )
    def post(self, request: Request, pk: int) -> Response:
        """Append, prepend or replace text or toggle a checkbox, whatever else is written meanwhile.

        Each edit is a revision of its own. A token with the scope `notes:append` may append.
        """
        validated = validate(EditSerializer, request.data)
        require_scope(request, "notes:append" if validated["op"] == "append" else "notes:write")
        note = edits.edit_note(
            note=self.get_object(),
            edit=edits.Edit(
                kind=validated["op"],
                text=validated.get("text", ""),
                old=validated.get("old", ""),
                task=validated.get("task", 0),
            ),
            by=get_caller(request),
            now=timezone.now(),
            expected=preconditions.expected_versions(request),
        )
        if has_scope(request, "notes:read"):
            return self.note_response(note)
        return Response(status=204, headers={"ETag": preconditions.etag_of(note)})

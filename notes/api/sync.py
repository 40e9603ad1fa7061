"""``sync``: reads the changes since the client's last sync and applies the client's changes."""

from typing import Any, ClassVar

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import get_caller
from cloudnotes.api.errors import describe
from cloudnotes.api.validation import InputSerializer, refuse_others, validate
from cloudnotes.api.views import APIView
from notes import sync
from notes.actions import sync as sync_actions
from notes.actions.versions import mark_seen
from notes.api import preconditions
from notes.api.fields import TextField, WritableSerializer
from notes.api.permissions import WRITING_SCOPES
from notes.api.representation import NoteSerializer, root_of
from notes.models import Change, Note
from notes.models.fields import EDITABLE, FLAGS, note_json

DEFAULT_LIMIT, MAX_LIMIT = 100, 500


class PageQuerySerializer(InputSerializer):
    """Where to go on, and how many changes to tell."""

    cursor = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="The `cursor` of the page before; without it, everything.",
    )
    limit = serializers.IntegerField(default=DEFAULT_LIMIT, min_value=1, max_value=MAX_LIMIT)


class ChangeSerializer(serializers.ModelSerializer[Change]):
    """That a note changed. ``client_id`` is there if the note was created with one."""

    id = serializers.IntegerField(source="note_id")
    deleted = serializers.BooleanField()
    client_id = serializers.CharField(required=False)
    note = NoteSerializer(required=False)

    class Meta:
        model = Change
        fields = ("id", "seq", "deleted", "client_id", "note")


class PageSerializer(serializers.Serializer[Any]):
    """Changes in the order of their commits, each note once, as it is now."""

    changes = ChangeSerializer(many=True)
    cursor = serializers.CharField()
    has_more = serializers.BooleanField()


class DigestSerializer(serializers.Serializer[Any]):
    """What a client in step computes too."""

    digest = serializers.CharField(
        help_text="SHA-256, in hex, of a line `id:version` for each live note, ascending by id, "
        "each ended by a line feed."
    )
    notes = serializers.IntegerField()
    cursor = serializers.CharField(help_text="The place in the feed that the digest is of.")


# What an operation takes besides the note and the flags, which have errors of their own.
MEMBERS = {
    "create": EDITABLE,
    "update": ("base_version", *EDITABLE),
    "flag": (),
    "delete": ("base_version",),
}


class OperationSerializer(WritableSerializer):
    """A change that the client has made; the note is named by ``id`` or ``client_id``."""

    op = serializers.ChoiceField(choices=["create", "update", "flag", "delete"])
    id = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    client_id = TextField(
        required=False,
        allow_blank=False,
        max_length=100,
        help_text="What the client calls a note it created, such as a UUID.",
    )
    base_version = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text="The version that the change was made to.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        needed = {"create": {"title"}, "flag": set()}.get(attrs["op"], {"base_version"})
        refuse_others(attrs, {"op", "id", "client_id", *FLAGS, *MEMBERS[attrs["op"]]})
        missing = {name: "This operation needs it." for name in needed if name not in attrs}
        if attrs["op"] == "create" and "id" in attrs:
            missing["id"] = "The server chooses it; send a client_id to know the note again."
        elif attrs["op"] != "create" and ("id" in attrs) == ("client_id" in attrs):
            missing["id"] = "Name the note by id or by client_id."
        flags = [name for name in FLAGS if name in attrs]
        if attrs["op"] == "flag" and not flags:
            missing["is_favorite"] = "Send one of the flags."
        elif attrs["op"] != "flag":
            missing |= dict.fromkeys(flags, "Send it by an operation of its own, `flag`.")
        if missing:
            raise serializers.ValidationError(missing)
        return attrs


class EntriesField(serializers.ListField):
    """A list of raw entries: limits their number; each entry is validated by itself later."""

    child = serializers.JSONField(allow_null=True)

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("not_a_list", input_type=type(data).__name__)
        if len(data) > sync_actions.MAX_OPERATIONS:
            raise serializers.ValidationError(
                f"Send at most {sync_actions.MAX_OPERATIONS} changes at once.", code="max_length"
            )
        return data


class BatchSerializer(InputSerializer):
    """What a client has changed, in its order."""

    changes = EntriesField(help_text=f"At most {sync_actions.MAX_OPERATIONS}.")


class OutcomeSerializer(serializers.Serializer[Any]):
    """What became of an operation."""

    status = serializers.ChoiceField(choices=["applied", "conflict", "refused"])
    id = serializers.IntegerField(required=False)
    client_id = serializers.CharField(required=False)
    version = serializers.IntegerField(required=False)
    deleted = serializers.BooleanField(required=False)
    merged = serializers.BooleanField(required=False)
    note = NoteSerializer(
        required=False,
        help_text="The note as it is, where it is not what the client has, until 8 MiB of text.",
    )
    problem = serializers.DictField(required=False)


class OutcomesSerializer(serializers.Serializer[Any]):
    """What became of the operations, in their order."""

    results = OutcomeSerializer(many=True)


class SyncView(APIView):
    """The feed of the caller."""

    scopes: ClassVar = WRITING_SCOPES
    query_serializers: ClassVar = {"GET": PageQuerySerializer}
    problems: ClassVar = {410: "The cursor is of no use any more: begin without one."}
    max_json_bytes = settings.MAX_JSON_BYTES

    @extend_schema(responses={200: PageSerializer})
    def get(self, request: Request) -> Response:
        """Learn what has changed since `cursor`, in the order of the commits.

        A note in the trash or deleted is a change with `deleted`. Go on with the `cursor` of the
        answer, at once while `has_more`, later otherwise.
        """
        caller, cursor = get_caller(request), self.query.get("cursor")
        after = sync.read_cursor(cursor, caller=caller) if cursor else sync.begin(caller=caller)
        if after is None:
            sync_actions.start_generation(instead_of=sync.get_generation())
            raise sync.ResyncRequired
        page = sync.get_page(caller=caller, after=after, limit=self.query["limit"])
        payload = {
            "changes": self._changes_json(page.changes),
            "cursor": sync.write_cursor(page.end, caller=caller),
            "has_more": page.has_more,
        }
        return Response(payload)

    def _changes_json(self, changes: Any) -> list[dict[str, Any]]:
        caller = get_caller(self.request)
        notes = self._mark_seen([change.note for change in changes if change.note])
        root = root_of(self.request)
        entries = []
        for change in changes:
            note = notes.get(change.note_id)
            entry = {"id": change.note_id, "seq": change.seq, "deleted": True}
            if note and sync.is_there(note, caller):
                entry |= {"deleted": False, "note": note_json(note, root)}
            if change.client_id and (not entry["deleted"] or not caller.category):
                entry["client_id"] = change.client_id
            entries.append(entry)
        return entries

    @extend_schema(
        parameters=[preconditions.PREFER_MERGE],
        request=BatchSerializer,
        responses={200: OutcomesSerializer},
    )
    def post(self, request: Request) -> Response:
        """Send at most 500 changes that the client has made; each is answered by itself.

        The entries are as OperationSerializer describes them:
        `{"op": "create", "client_id", "title", "content"?, "category"?, "tags"?}`,
        `{"op": "update", "id" or "client_id", "base_version", "title"?, "content"?, "category"?,
        "tags"?}`, `{"op": "flag", "id" or "client_id", "is_favorite"?, "is_archived"?}`, which is
        good in any version, and `{"op": "delete", "id" or "client_id", "base_version"}`. A change
        of a version that is not the current one is a conflict, or is merged with `Prefer: merge`.
        It is safe to send the same changes twice.
        """
        entries = validate(BatchSerializer, request.data)["changes"]
        caller = get_caller(request)
        results: list[dict[str, Any]] = []
        operations, indexes = [], []
        for index, entry in enumerate(entries):
            serializer = OperationSerializer(data=entry)
            results.append({})
            if serializer.is_valid():
                operations.append(_operation(serializer.validated_data, caller.category))
                indexes.append(index)
            else:
                problem = describe(serializers.ValidationError(serializer.errors))
                results[index] = {"status": "refused", "problem": problem}
        outcomes = sync_actions.apply(
            operations=operations,
            merge=preconditions.wants_merge(request),
            by=caller,
            now=timezone.now(),
        )
        notes = self._differing(outcomes)
        for index, operation, outcome in zip(indexes, operations, outcomes, strict=True):
            results[index] = self._outcome(operation, outcome, notes)
        return Response({"results": results})

    def _outcome(
        self,
        operation: sync_actions.Operation,
        outcome: sync_actions.Outcome,
        notes: dict[int, Note],
    ) -> dict[str, Any]:
        result: dict[str, Any] = {"status": outcome.status}
        root = root_of(self.request)
        if operation.client_id:
            result["client_id"] = operation.client_id
        if outcome.error:
            result["problem"] = describe(outcome.error)
        if outcome.note_id is None:
            return result
        note = notes.get(outcome.note_id) if outcome.differs else None
        version = note.version if note else outcome.version
        result |= {"id": outcome.note_id, "deleted": version is None}
        if version is not None:
            result["version"] = version
        if outcome.is_merged:
            result["merged"] = True
        if note:
            result["note"] = note_json(note, root)
        return result

    def _differing(self, outcomes: list[sync_actions.Outcome]) -> dict[int, Note]:
        """Return the notes that differ from what the client has, as many as fit into a page."""
        ids = {o.note_id for o in outcomes if o.differs and o.note_id}
        notes = Note.objects.visible_to(get_caller(self.request)).live()
        fitting = sync.fitting(notes.filter(pk__in=ids))
        return self._mark_seen(notes.filter(pk__in=fitting))

    def _mark_seen(self, notes: Any) -> dict[int, Note]:
        """Record that the notes were seen; return those that still exist, by id."""
        queryset = Note.objects.visible_to(get_caller(self.request))
        seen = mark_seen([note for note in notes if note], within=queryset, now=timezone.now())
        return {note.pk: note for note in seen}


class DigestView(APIView):
    """A digest with which a client verifies that it is in step."""

    scopes: ClassVar = {"GET": "notes:read"}

    @extend_schema(responses={200: DigestSerializer})
    def get(self, request: Request) -> Response:
        """Get a hash over ids and versions, to compare with one's own."""
        caller = get_caller(request)
        digest, count, place = sync.get_digest(caller=caller)
        cursor = sync.write_cursor(place, caller=caller)
        return Response({"digest": digest, "notes": count, "cursor": cursor})


def _operation(validated: dict[str, Any], category: str) -> sync_actions.Operation:
    """Return an operation from its validated data.

    ``category`` is that of a limited token: a new note gets it unless another one is sent.
    """
    names = FLAGS if validated["op"] == "flag" else EDITABLE
    fields = {name: validated[name] for name in names if name in validated}
    if validated["op"] == "create":
        fields = {"content": "", "category": category, **fields}
    return sync_actions.Operation(
        kind=validated["op"],
        note_id=validated.get("id"),
        client_id=validated.get("client_id"),
        base_version=validated.get("base_version", 0),
        fields=fields,
    )

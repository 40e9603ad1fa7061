"""``categories``: read the tree of categories; move, merge and delete them."""

from typing import Any, ClassVar

from django.db.models import Count
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import categories
from accounts.api.fields import CategoryField
from accounts.callers import get_caller
from cloudnotes.api.validation import InputSerializer, validate
from cloudnotes.api.views import GenericAPIView
from notes import access
from notes.actions import bulk
from notes.api.permissions import WRITING_SCOPES
from notes.models import Note


class CategorySerializer(serializers.Serializer[Any]):
    """A category: live notes in it, in it and below it, and what is below it."""

    name = serializers.CharField()
    category = serializers.CharField(help_text="The whole path.")
    notes = serializers.IntegerField()
    total = serializers.IntegerField()
    below = serializers.ListField(
        child=serializers.DictField(), help_text="Categories of the same shape, by name."
    )


class TreeSerializer(serializers.Serializer[Any]):
    """All categories of live notes, by name."""

    results = CategorySerializer(many=True)
    uncategorized = serializers.IntegerField(help_text="Live notes in no category.")


class MoveSerializer(InputSerializer):
    """Where it is to lie; what lies there already is merged with it."""

    category = CategoryField()


class MovedSerializer(serializers.Serializer[Any]):
    """Where it lies now, and how many notes that moved."""

    category = serializers.CharField()
    notes = serializers.IntegerField()


class DeleteSerializer(InputSerializer):
    """What becomes of the notes."""

    notes = serializers.ChoiceField(
        choices=["up", "trash"],
        default="up",
        help_text="`up`: they, and the categories below, go to the one above. `trash`: all of them "
        "go to the trash.",
    )


class CategoryViewSet(viewsets.ViewSetMixin, GenericAPIView[Note]):
    """The categories of the notes that the caller may see."""

    scopes: ClassVar = WRITING_SCOPES
    query_serializers: ClassVar = {"destroy": DeleteSerializer}
    queryset = Note.objects.none()
    pagination_class = None

    @extend_schema(responses={200: TreeSerializer})
    def overview(self, request: Request) -> Response:
        """Get the tree of categories, with how many live notes each has."""
        notes = Note.objects.visible_to(get_caller(request)).live()
        counts = dict(notes.values_list("category").annotate(Count("pk")).order_by("category"))
        return Response({"results": tree(counts), "uncategorized": counts.get("", 0)})

    @extend_schema(request=MoveSerializer, responses={200: MovedSerializer})
    def move(self, request: Request, category: str) -> Response:
        """Rename or move a category with all below it, or merge it with another one."""
        to = validate(MoveSerializer, request.data)["category"]
        self._check(to)
        count = bulk.move_category(
            category=_parse(category), to=to, by=get_caller(request), now=timezone.now()
        )
        return Response({"category": to, "notes": count})

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, category: str) -> Response:
        """Delete a category: its notes go to the one above, or to the trash."""
        context: dict[str, Any] = {"by": get_caller(request), "now": timezone.now()}
        parsed = _parse(category)
        if self.query["notes"] == "trash":
            bulk.trash_category(category=parsed, **context)
        else:
            parent = parsed.rpartition(categories.SEPARATOR)[0]
            self._check(parent)
            bulk.move_category(category=parsed, to=parent, **context)
        return Response(status=204)

    def _check(self, category: str) -> None:
        if not access.may_file_under(get_caller(self.request), category):
            raise PermissionDenied


def _parse(text: str) -> str:
    """Return the category that a URL names, in its normal form. Raises NothingThere."""
    try:
        category = categories.parse(text)
    except categories.InvalidCategory:
        category = ""
    if not category:
        raise bulk.NothingThere
    return category


def tree(counts: dict[str, int]) -> list[dict[str, Any]]:
    """Return the categories as a tree, with parents that have no notes of their own."""
    nodes: dict[str, dict[str, Any]] = {"": {"below": [], "total": 0}}

    def node_of(category: str) -> dict[str, Any]:
        if category not in nodes:
            parent, _, name = category.rpartition(categories.SEPARATOR)
            node = {"name": name, "category": category, "notes": 0, "total": 0, "below": []}
            node_of(parent)["below"].append(node)
            nodes[category] = node
        return nodes[category]

    for category, count in sorted(counts.items(), key=lambda item: item[0].split("/")):
        if not category:
            continue
        node_of(category)["notes"] = count
        while category:
            nodes[category]["total"] += count
            category = category.rpartition(categories.SEPARATOR)[0]
    return list(nodes[""]["below"])

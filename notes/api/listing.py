"""The parameters of a list of notes: filters, order, and the fields to return."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models.functions import Lower
from rest_framework import serializers

from accounts.api.fields import CategoryField
from cloudnotes.api.validation import InputSerializer, TimeField
from notes.api.fields import TagsField
from notes.models import tags
from notes.models.fields import NAMES
from notes.models.notes import NoteQuerySet


@dataclass(frozen=True)
class Order:
    """An order of a list, by the column ``keyset``.

    ``name`` is part of its cursors, so that no other order accepts them; '' for the default.
    """

    name: str
    keyset: str
    is_ascending: bool


ORDERS = {
    "-updated": Order("", "updated_at", is_ascending=False),
    "updated": Order("updated", "updated_at", is_ascending=True),
    "-created": Order("-created", "created_at", is_ascending=False),
    "created": Order("created", "created_at", is_ascending=True),
    "title": Order("title", "title_key", is_ascending=True),
    "-title": Order("-title", "title_key", is_ascending=False),
}
FILTERS: dict[str, Callable[[NoteQuerySet, Any], NoteQuerySet]] = {
    "favorite": lambda notes, value: notes.filter(is_favorite=value),
    "archived": lambda notes, value: notes.filter(is_archived=value),
    "has_file": lambda notes, value: notes.exclude(files="") if value else notes.filter(files=""),
    "created_after": lambda notes, time: notes.filter(created_at__gt=time),
    "created_before": lambda notes, time: notes.filter(created_at__lt=time),
    "updated_after": lambda notes, time: notes.filter(updated_at__gt=time),
    "updated_before": lambda notes, time: notes.filter(updated_at__lt=time),
}


class NamesField(serializers.CharField):
    """Names of fields of a note, separated by commas."""

    def to_internal_value(self, data: Any) -> Any:
        names = frozenset(super().to_internal_value(data).split(","))
        if unknown := sorted(names - {*NAMES}):
            raise serializers.ValidationError(
                f"A note has no {unknown[0]!r}; it has {', '.join(NAMES)}.",
                code="unknown_field",
            )
        return names


class ListSerializer(InputSerializer):
    """Which notes to list."""

    trashed = serializers.BooleanField(
        default=False, help_text="The notes in the trash instead of the others."
    )
    as_of = TimeField(
        required=False,
        help_text="The notes as they were at this time, the last created first. With nothing else.",
    )
    category = CategoryField(
        required=False, help_text="Those in this category and below it; '' for those in none."
    )
    subtree = serializers.BooleanField(
        default=True, help_text="Whether `category` takes in what is below it."
    )
    tag = TagsField(required=False, help_text="May be sent several times.")
    tags = serializers.ChoiceField(
        choices=["all", "any"], default="all", help_text="Whether each `tag` is wanted, or one."
    )
    favorite = serializers.BooleanField(required=False)
    archived = serializers.BooleanField(required=False)
    has_file = serializers.BooleanField(required=False)
    created_after = TimeField(required=False)
    created_before = TimeField(required=False)
    updated_after = TimeField(required=False)
    updated_before = TimeField(required=False)
    order = serializers.ChoiceField(choices=[*ORDERS], default="-updated")
    fields_ = NamesField(required=False, help_text="Nothing but these of each note.")
    exclude = NamesField(required=False, help_text="All but these of each note.")

    def get_fields(self) -> dict[str, Any]:
        # DRF uses the name `fields` itself, so the attribute is called `fields_`.
        return {name.removesuffix("_"): field for name, field in super().get_fields().items()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "as_of" in attrs and {*self.initial_data} - {"as_of"}:
            raise serializers.ValidationError({"as_of": "It goes with no other filter or order."})
        if "fields" in attrs and "exclude" in attrs:
            raise serializers.ValidationError({"exclude": "Say `fields` or `exclude`, not both."})
        return attrs


@dataclass(frozen=True)
class Listing:
    """The validated parameters of a request; ``fields`` are the members of a note to return."""

    params: dict[str, Any]
    order: Order
    fields: frozenset[str]

    @property
    def scope(self) -> tuple[str, ...]:
        """The scope of the cursors: a cursor is valid only for the same order and trash filter."""
        trashed = ("trashed",) if self.params["trashed"] else ()
        return (*trashed, self.order.name) if self.order.name else trashed

    def select(self, notes: NoteQuerySet) -> NoteQuerySet:
        """Return the notes that match the filters, with the column that the order needs."""
        notes = notes.trashed() if self.params["trashed"] else notes.live()
        if "category" in self.params:
            notes = notes.filed_under(self.params["category"], subtree=self.params["subtree"])
        if "tag" in self.params:
            names = tags.split(self.params["tag"])
            notes = notes.tagged(names, every=self.params["tags"] == "all")
        for name, narrow in FILTERS.items():
            if name in self.params:
                notes = narrow(notes, self.params[name])
        if self.order.keyset == "title_key":
            notes = notes.annotate(title_key=Lower("title"))
        return notes if "content" in self.fields else notes.defer("content")


def read(params: dict[str, Any]) -> Listing:
    """Return the listing that the validated parameters ask for."""
    all_fields = frozenset(NAMES)
    fields = params.get("fields", all_fields) - params.get("exclude", frozenset())
    return Listing(params, ORDERS[params["order"]], fields)

"""Notes in the admin: staff can find, open and delete them; deleting calls our own action."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin import UserAdmin, counted
from accounts.callers import get_caller
from accounts.models import User
from cloudnotes.api.routes import waits_for_storage
from notes.actions import notes as note_actions
from notes.models import Note, attachments


class HasFile(admin.SimpleListFilter):
    """Notes with or without a file."""

    title = "file"
    parameter_name = "file"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "With a file"), ("no", "Without a file")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Note]) -> QuerySet[Note]:
        if self.value() in ("yes", "no"):
            return queryset.filter(files="") if self.value() == "no" else queryset.exclude(files="")
        return queryset


@waits_for_storage("POST")
@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Notes: read-only, because only the API's actions change notes."""

    list_display = (
        "pk",
        "title",
        "owner",
        "characters",
        "file_names",
        "version",
        "updated_at",
        "created_at",
        "trashed_at",
    )
    list_display_links = ("pk", "title")
    list_filter = ("updated_at", "created_at", HasFile, "trashed_at")
    list_select_related = ("owner",)
    search_fields = ("title", "owner__email_folded", "owner__username_folded")
    search_help_text = "Title, or the owner's e-mail address or username"
    autocomplete_fields = ("owner",)
    ordering = ("-updated_at", "-pk")
    fields = (
        "owner",
        "title",
        "category",
        "tags",
        "content",
        "file_names",
        "is_favorite",
        "is_archived",
        "version",
        "created_at",
        "updated_at",
        "trashed_at",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Note]:
        notes = super().get_queryset(request)
        match = request.resolver_match
        if match and match.url_name == "notes_note_changelist":
            notes = notes.defer("content").annotate(content_length=Length("content"))
        return notes

    @admin.display(description="characters")
    def characters(self, note: Any) -> int:
        return int(note.content_length)

    @admin.display(description="files")
    def file_names(self, note: Note) -> str:
        return ", ".join(file.name for file in attachments.split(note.files)) or "-"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, note: Note | None = None) -> bool:
        return False

    def delete_model(self, request: HttpRequest, note: Note) -> None:
        note_actions.purge_note(note=note, by=get_caller(request))

    def delete_queryset(self, request: HttpRequest, selected: QuerySet[Note]) -> None:
        for note in selected:
            note_actions.purge_note(note=note, by=get_caller(request))


admin.site.unregister(User)


@waits_for_storage("POST")
@admin.register(User)
class OwnerAdmin(UserAdmin):
    """The users of ``accounts``, with the number of notes of each."""

    list_display: tuple[str, ...] = (*UserAdmin.list_display, "note_count")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        owned = Note.objects.filter(owner=OuterRef("pk"))
        return super().get_queryset(request).annotate(notes_owned=counted(owned, "owner"))

    @admin.display(description="notes", ordering="notes_owned")
    def note_count(self, user: Any) -> SafeString:
        address = reverse("admin:notes_note_changelist") + f"?owner__id__exact={user.pk}"
        return format_html('<a href="{}">{}</a>', address, user.notes_owned)

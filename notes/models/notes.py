"""Notes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Lower, Now
from django.db.models.lookups import Exact, GreaterThanOrEqual, LessThan
from django.utils import timezone

from accounts import categories
from accounts.identifiers import fold
from cloudnotes.db.constraints import ForeignKeyConstraint
from cloudnotes.db.expressions import Bytewise
from cloudnotes.db.triggers import Trigger

if TYPE_CHECKING:
    from accounts.callers import Caller

MAX_TITLE_LENGTH = 200
MAX_CONTENT_BYTES = 2**20
KEEP_OLD_TITLE = """
INSERT INTO notes_renaming (note_id, owner_id, title, credential)
VALUES (NEW.id, NEW.owner_id, OLD.title, NEW.state_credential);
"""


def filed_within(category: str) -> Q:
    """Return the filter of rows whose category is this one or below it; no filter for ``''``."""
    if not category:
        return Q()
    # Not `startswith`: SQLite's LIKE ignores the case, and PostgreSQL cannot use an index for it if
    # the collation is that of a language.
    filed, end = Bytewise("category"), chr(ord(categories.SEPARATOR) + 1)
    below = Q(GreaterThanOrEqual(filed, category + categories.SEPARATOR))
    return Q(Exact(filed, category)) | below & Q(LessThan(filed, category + end))


class NoteQuerySet(models.QuerySet["Note"]):
    """Queries of notes."""

    def owned_by(self, caller: "Caller") -> "NoteQuerySet":
        """Return the notes that belong to a user, also those in the trash.

        With a token that is limited to a category, only the notes in it or below it. For writes
        that only the owner may make (``notes.access.can(user, "organize", note)``, and
        ``"delete"``).
        """
        return self.filter(filed_within(caller.category), owner_id=caller.pk)

    def editable_by(self, caller: "Caller") -> "NoteQuerySet":
        """Return the notes whose text, tags and files a user may change; for all other writes."""
        return self.owned_by(caller)

    def visible_to(self, caller: "Caller") -> "NoteQuerySet":
        """Return the notes that a user may know of, also those in the trash; for reads only."""
        return self.owned_by(caller)

    def live(self) -> "NoteQuerySet":
        """Return the notes that are not in the trash."""
        return self.filter(trashed_at=None)

    def trashed(self) -> "NoteQuerySet":
        """Return the notes in the trash."""
        return self.filter(trashed_at__isnull=False)

    def filed_under(self, category: str, *, subtree: bool) -> "NoteQuerySet":
        """Return the notes of a category (``''``: without one); with ``subtree`` also below it."""
        if category and subtree:
            return self.filter(filed_within(category))
        return self.filter(Exact(Bytewise("category"), category))

    def tagged(self, names: Sequence[str], *, every: bool) -> "NoteQuerySet":
        """Return the notes that have every tag of ``names``, or at least one of them."""
        taggings: Any = self.model._meta.get_field("taggings").related_model
        of_note = taggings.objects.filter(owner=OuterRef("owner"), note=OuterRef("pk"))
        folded = [fold(name) for name in names]
        if every:
            return self.filter(*(Exists(of_note.filter(folded=name)) for name in folded))
        return self.filter(Exists(of_note.filter(folded__in=folded)))


class Note(models.Model):
    """A text in Markdown with a title. Belongs to its owner and dies with the account.

    ``version`` starts at 1 and rises by one with every change that readers see; ``content`` is at
    most 1 MiB in UTF-8. A note in the trash has ``trashed_at``; otherwise it is live. Its fields
    are listed in ``notes.models.fields``; the flags there are the owner's and do not change the
    version.

    The versioned columns are the note's state. A write that replaces it takes a snapshot, unless it
    coalesces (``notes.actions.versions``). The ``state_…`` columns have what the revision will
    need: the version that the state began with, since when it exists, who wrote it, why and with
    which credential. ``state_given`` says that a reader has seen the state, and may use it as the
    base of a change.
    """

    class Cause(models.TextChoices):
        """The kind of write that made a state."""

        CREATE = "create"
        EDIT = "edit"
        SYNC = "sync"
        APPEND = "append"
        PREPEND = "prepend"
        REPLACE = "replace"
        TOGGLE_TASK = "toggle_task"
        MERGE = "merge"
        TRASH = "trash"
        UNTRASH = "untrash"
        RESTORE = "restore"
        REWIND = "rewind"
        FILE = "file"

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="notes",
    )
    title = models.CharField(max_length=MAX_TITLE_LENGTH, blank=True)
    content = models.TextField(blank=True, default="", db_default="")
    category = models.CharField(max_length=200, blank=True, default="", db_default="")
    # Names, one per line (notes.models.tags).
    tags = models.TextField(blank=True, default="", db_default="")
    # Its files, in JSON (notes.models.attachments).
    files = models.TextField(blank=True, default="", db_default="")
    is_favorite = models.BooleanField(default=False, db_default=False)
    is_archived = models.BooleanField(default=False, db_default=False)
    version = models.PositiveIntegerField(default=1, db_default=1)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    trashed_at = models.DateTimeField(null=True, blank=True)

    state_version = models.PositiveIntegerField(default=1, db_default=1)
    state_since = models.DateTimeField(default=timezone.now, db_default=Now())
    state_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
    )
    state_cause = models.CharField(
        max_length=20, choices=Cause.choices, default=Cause.CREATE, db_default=Cause.CREATE
    )
    state_credential = models.CharField(max_length=40, blank=True, default="", db_default="")
    state_given = models.BooleanField(default=False, db_default=True)

    objects = NoteQuerySet.as_manager()

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="owner", name="notes_die_with_their_owner"),
            ForeignKeyConstraint(
                field="state_by", on_delete="SET NULL", name="notes_outlive_their_last_author"
            ),
            # The links to the note have the old title until notes.actions.links rewrites them.
            Trigger(
                name="notes_note_renamed",
                event="AFTER UPDATE OF title",
                condition="OLD.title <> NEW.title",
                postgresql=KEEP_OLD_TITLE,
                sqlite=KEEP_OLD_TITLE,
            ),
        ]
        indexes = [
            # A user's notes, newest edit first, by keyset; also the cascade from the owner.
            models.Index(fields=["owner", "-updated_at", "-id"], name="notes_by_recent_edit"),
            # A user's notes as of a time, by keyset.
            models.Index(fields=["owner", "-created_at", "-id"], name="notes_by_creation"),
            # A user's notes by title, by keyset.
            models.Index("owner", Lower("title"), "id", name="notes_by_title"),
            # A user's notes of a category, newest edit first; also how many are in each.
            models.Index(
                "owner",
                Bytewise("category"),
                models.F("updated_at").desc(),
                models.F("id").desc(),
                name="notes_by_category",
            ),
            # A user's favourites and archive, newest edit first.
            models.Index(
                fields=["owner", "-updated_at", "-id"],
                condition=Q(is_favorite=True),
                name="favorite_notes",
            ),
            models.Index(
                fields=["owner", "-updated_at", "-id"],
                condition=Q(is_archived=True),
                name="archived_notes",
            ),
            # The notes that the worker deletes after 30 days in the trash.
            models.Index(
                fields=["trashed_at"],
                condition=Q(trashed_at__isnull=False),
                name="notes_in_the_trash",
            ),
        ]

    def __str__(self) -> str:
        return f"note {self.pk} of user {self.owner_id}"

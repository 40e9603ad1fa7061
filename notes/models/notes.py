"""Notes."""

from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.db.models import Q
from django.db.models.functions import Left
from django.utils import timezone

from accounts import categories
from cloudnotes.constraints import ForeignKeyConstraint

if TYPE_CHECKING:
    from accounts.models import User
    from notes.models.attachments import Attachment

MAX_TITLE_LENGTH = 200
MAX_CONTENT_BYTES = 2**20


class NoteQuerySet(models.QuerySet["Note"]):
    """Questions about notes."""

    def visible_to(self, user: "User") -> "NoteQuerySet":
        """Return the notes that a user may know of: their own.

        Through a token that is limited to a category, those of it and below it.
        """
        own = self.filter(owner_id=user.pk)
        if limit := user.limited_to_category:
            below = limit + categories.SEPARATOR
            # Not `startswith`: SQLite's LIKE takes upper and lower case for the same.
            own = own.alias(start=Left("category", len(below))).filter(
                Q(category=limit) | Q(start=below)
            )
        return own

    def with_file(self) -> "NoteQuerySet":
        """Load with each note all that its serializer reads."""
        return self.select_related("attachment__object")


class Note(models.Model):
    """A text in Markdown with a title. Belongs to its owner and dies with the account.

    ``version`` starts at 1 and rises by one with every change of what readers see; ``content`` is
    at most 1 MiB in UTF-8.
    """

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
    version = models.PositiveIntegerField(default=1, db_default=1)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = NoteQuerySet.as_manager()

    class Meta:
        constraints = [ForeignKeyConstraint(field="owner", name="notes_die_with_their_owner")]
        indexes = [
            # A user's notes, newest edit first, by keyset; also the cascade from the owner.
            models.Index(fields=["owner", "-updated_at", "-id"], name="notes_by_recent_edit"),
        ]

    def __str__(self) -> str:
        return f"note {self.pk} of user {self.owner_id}"

    def get_attachment(self) -> "Attachment | None":
        """Return the note's file, from memory if ``with_file`` has loaded it."""
        try:
            return self.attachment
        except ObjectDoesNotExist:
            return None

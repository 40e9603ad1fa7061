"""The index of searches: its rows, its state per user and its lookups."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.lookups import Exact, Lookup

from cloudnotes.db.constraints import ForeignKeyConstraint
from cloudnotes.db.expressions import Unindexed
from cloudnotes.db.triggers import Trigger
from notes.models.notes import Note

if TYPE_CHECKING:
    from accounts.callers import Caller

# The FTS5 table on SQLite (migration 0010); triggers of IndexedNote keep it up to date.
FTS5_TABLE = "notes_indexednote_terms"
FTS5_ADD = """
INSERT INTO notes_indexednote_terms (rowid, terms) VALUES (NEW.note_id, NEW.terms);
"""
FTS5_REMOVE = """
INSERT INTO notes_indexednote_terms (notes_indexednote_terms, rowid, terms)
VALUES ('delete', OLD.note_id, OLD.terms);
"""


class TermsField(models.TextField):  # type: ignore[type-arg]  # not generic at run time
    """Terms with blanks between them: a ``tsvector`` on PostgreSQL, text on SQLite."""

    def db_type(self, connection: Any) -> str:
        return "tsvector" if connection.vendor == "postgresql" else "text"


@TermsField.register_lookup
class Matches(Lookup):  # type: ignore[type-arg]  # not generic at run time
    """Whether a condition in the syntax of the database (``notes.search.terms``) holds.

    Uses the index of terms to find the rows.
    """

    lookup_name = "matches"
    indexed = "notes_terms(%s)"  # migration 0010

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        terms, parameters = self.process_lhs(compiler, connection)
        condition, values = self.process_rhs(compiler, connection)
        return f"{self.indexed % terms} @@ {condition}::tsquery", [*parameters, *values]

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        note = compiler.quote_name_unless_alias(self.lhs.alias)
        condition, values = self.process_rhs(compiler, connection)
        matching = f"SELECT rowid FROM {FTS5_TABLE} WHERE {FTS5_TABLE} MATCH {condition}"  # noqa: S608 - of constants
        return f"{note}.note_id IN ({matching})", list(values)


@TermsField.register_lookup
class Shows(Matches):
    """The same, but checked in each row; other conditions find the rows."""

    lookup_name = "shows"
    indexed = "%s"

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        sql, values = super().as_sqlite(compiler, connection)
        return f"+{sql}", values


class SearchIndex(models.Model):
    """The state of a user's index: the feed is indexed up to ``seq``. Dies with the account.

    ``made`` is the language of the word forms and the format of the terms.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="+",
    )
    seq = models.PositiveBigIntegerField(default=0, db_default=0)
    made = models.CharField(max_length=20, default="", db_default="")

    class Meta:
        constraints = [ForeignKeyConstraint(field="user", name="indexes_die_with_their_user")]

    def __str__(self) -> str:
        return f"index of the notes of user {self.user_id}"


class IndexedNoteQuerySet(models.QuerySet["IndexedNote"]):
    """Queries of the index."""

    def visible_to(self, caller: "Caller") -> "IndexedNoteQuerySet":
        """Return the rows of the notes that a user may know of.

        This condition uses no index: terms already find only the owner's notes, and with an index
        PostgreSQL also read all rows of the owner.
        """
        owned = self.filter(Unindexed(Exact(F("owner_id"), caller.pk)))
        if not caller.category:
            return owned
        return owned.filter(Exists(Note.objects.visible_to(caller).filter(pk=OuterRef("pk"))))

    def in_order(self, caller: "Caller") -> "IndexedNoteQuerySet":
        """Return the rows of a user, by a condition that uses the indexes by owner."""
        return self.filter(owner_id=caller.pk)


class IndexedNote(models.Model):
    """A note in the index of searches. Follows the owner's feed; dies with the note.

    Searches find it by ``terms``; ``words`` and ``stems`` are its text as ``notes.search.terms``
    prepares it. ``title_key`` is the digest of its title, by which links name it. ``renamed_from``
    is what an earlier release had in place of :class:`notes.models.Renaming`.
    """

    note = models.OneToOneField(
        Note,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="indexed",
    )
    # No foreign key: the row dies with its note, whose owner never changes.
    owner_id = models.PositiveBigIntegerField()
    edited_at = models.DateTimeField()
    title_key = models.CharField(max_length=16, blank=True, default="", db_default="")
    renamed_from = models.CharField(  # noqa: DJ001 - a prepared statement can ask for NULL
        max_length=16, null=True, blank=True
    )
    terms = TermsField()
    words = models.TextField()
    stems = models.TextField(default="", db_default="")

    objects = IndexedNoteQuerySet.as_manager()

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="note", name="indexed_notes_die_with_their_note"),
            Trigger(name="notes_indexednote_added", event="AFTER INSERT", sqlite=FTS5_ADD),
            Trigger(name="notes_indexednote_removed", event="AFTER DELETE", sqlite=FTS5_REMOVE),
            Trigger(
                name="notes_indexednote_replaced",
                event="AFTER UPDATE OF terms",
                sqlite=FTS5_REMOVE + FTS5_ADD,
            ),
        ]
        indexes = [
            # The order in which a broad search reads notes, the last edited first.
            models.Index(fields=["owner_id", "-edited_at", "-note"], name="indexed_by_recent_edit"),
            # The notes of a title.
            models.Index(fields=["owner_id", "title_key", "note"], name="indexed_by_title"),
            # The notes whose links have to be rewritten.
            models.Index(
                fields=["owner_id"],
                condition=Q(renamed_from__isnull=False),
                name="indexed_and_renamed",
            ),
        ]

    def __str__(self) -> str:
        return f"index of note {self.note_id}"

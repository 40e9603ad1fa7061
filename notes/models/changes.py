"""The change feed: what changed for whom, in the order of the commits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection, models
from django.db.models.functions import Cast, Concat, Now
from django.utils import timezone
from django.utils.crypto import get_random_string

from cloudnotes.db.compiled_queries import Statement
from cloudnotes.db.constraints import ForeignKeyConstraint
from notes.models.notes import Note

if TYPE_CHECKING:
    from accounts.callers import Caller

# The conflict locks the row until the commit, so transactions commit in the order of their numbers.
# PostgreSQL does both steps in one statement; SQLite has no INSERT within another one.
ADVANCE = """
INSERT INTO notes_feed (user_id, seq, advanced_at) VALUES (%s, %s, %s)
ON CONFLICT (user_id) DO UPDATE
SET seq = notes_feed.seq + excluded.seq, advanced_at = excluded.advanced_at
RETURNING seq
"""
LOCK = """
INSERT INTO notes_feed (user_id, seq) VALUES (%s, 0)
ON CONFLICT (user_id) DO UPDATE SET seq = notes_feed.seq
"""
APPEND = """
INSERT INTO notes_change (user_id, note_id, seq) VALUES (%s, %s, %s)
ON CONFLICT (user_id, note_id) DO UPDATE SET seq = excluded.seq
"""


# The end of a statement that has a part `changed` with the note's id.
ADVANCE_AND_APPEND = """
advanced AS (
    INSERT INTO notes_feed (user_id, seq, advanced_at)
    SELECT reader, 1, clock_timestamp()
    FROM changed, unnest(%(audience)s::bigint[]) AS reader ORDER BY reader
    ON CONFLICT (user_id) DO UPDATE
    SET seq = notes_feed.seq + 1, advanced_at = clock_timestamp()
    RETURNING user_id, seq
)
INSERT INTO notes_change (user_id, note_id, seq)
SELECT advanced.user_id, changed.id, advanced.seq FROM changed, advanced
ON CONFLICT (user_id, note_id) DO UPDATE SET seq = excluded.seq
RETURNING note_id
"""
RECORD = Statement(f"WITH changed AS (SELECT %(note)s::bigint AS id), {ADVANCE_AND_APPEND}")

# The number and the time of a feed in one column, so that a page can have it in each row.
MARK = Concat(
    Cast("seq", models.TextField()),
    models.Value(" ", models.TextField()),
    Cast("advanced_at", models.TextField()),
)


class FeedManager(models.Manager["Feed"]):
    """The counters."""

    def lock(self, *user_ids: int) -> None:
        """Lock the feeds of some users until the transaction ends.

        In the order of the users' ids, as all writers do. SELECT FOR UPDATE would lock nothing
        while an account has no feed yet.
        """
        with connection.cursor() as cursor:
            for user_id in sorted(set(user_ids)):
                cursor.execute(LOCK, [user_id])

    def position(self, caller: "Caller") -> int:
        """Return the last number of a user's feed, 0 if nothing has changed yet."""
        return self.filter(pk=caller.pk).values_list("seq", flat=True).first() or 0

    def get_token(self, caller: "Caller") -> str | None:
        """Return a text that differs after every change in a user's feed and never repeats.

        None if nothing has changed yet.
        """
        return self.filter(pk=caller.pk).values_list(MARK, flat=True).first()


class Feed(models.Model):
    """The last number of a user's feed, and when it was taken. Dies with the account.

    A sequence or the time of day would not work: transactions do not commit in their order, and a
    client that has read number 7 never looks for a 6 that appears later. After a restored backup
    the same number is used again; ``advanced_at`` distinguishes the two changes.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="feed",
    )
    seq = models.PositiveBigIntegerField()
    advanced_at = models.DateTimeField(default=timezone.now, db_default=Now())

    objects = FeedManager()

    class Meta:
        constraints = [ForeignKeyConstraint(field="user", name="feeds_die_with_their_user")]

    def __str__(self) -> str:
        return f"feed of user {self.user_id}"


class ChangeManager(models.Manager["Change"]):
    """The places of notes in feeds."""

    def append(self, note_id: int, *, audience: Sequence[int]) -> None:
        """Move a note to the end of some users' feeds; call it in the writing transaction.

        ``audience`` is in the order of the users' ids, so that two writers cannot deadlock.
        """
        if connection.vendor == "postgresql":
            RECORD.fetch(note=note_id, audience=[*audience])
            return
        now = connection.ops.adapt_datetimefield_value(timezone.now())
        with connection.cursor() as cursor:
            for user_id in audience:
                cursor.execute(ADVANCE, [user_id, 1, now])
                (seq,) = cursor.fetchone()
                cursor.execute(APPEND, [user_id, note_id, seq])

    def append_all(self, note_ids: Sequence[int], *, user_id: int) -> None:
        """Move notes to the end of a user's feed, in this order; as :meth:`append`."""
        now = connection.ops.adapt_datetimefield_value(timezone.now())
        with connection.cursor() as cursor:
            cursor.execute(ADVANCE, [user_id, len(note_ids), now])
            (last,) = cursor.fetchone()
            places = enumerate(note_ids, last - len(note_ids) + 1)
            cursor.executemany(APPEND, [(user_id, pk, seq) for seq, pk in places])


class Change(models.Model):
    """The last change of a note, for one user who may see it or could. Dies with the account.

    There is one row per user and note; each change sets its ``seq`` to the next number. It outlives
    the note, as a tombstone. ``client_id`` is the client's own name for a note that it created: if
    the same creation is sent twice, one note is made, even if it was deleted in between.
    ``client_digest`` distinguishes that from another creation under the same name.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    # No constraint, and null only so that Django uses a left join: the note may be deleted.
    note = models.ForeignKey(
        Note,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
    )
    seq = models.PositiveBigIntegerField()
    client_id = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001 - NULL is not unique
    client_digest = models.CharField(max_length=64, blank=True, default="", db_default="")

    objects = ChangeManager()

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="user", name="changes_die_with_their_user"),
            models.UniqueConstraint(fields=["user", "note"], name="one_change_per_note"),
            # Also the order in which clients read.
            models.UniqueConstraint(fields=["user", "seq"], name="one_change_per_number"),
            models.UniqueConstraint(fields=["user", "client_id"], name="one_note_per_client_id"),
        ]

    def __str__(self) -> str:
        return f"change {self.seq} of user {self.user_id}"


def new_generation() -> str:
    """Return a name for a generation."""
    return get_random_string(22)


class Generation(models.Model):
    """The name of this history of the database, in one row. Every cursor contains the name.

    After a restored backup, numbers continue from those of the backup, and an old cursor would skip
    new changes. A new name makes every client start again. There is no row until this has happened
    once.
    """

    name = models.CharField(max_length=22, default=new_generation)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(pk=1), name="one_generation"),
        ]

    def __str__(self) -> str:
        return f"generation {self.name}"

"""How many bytes and files an account has, and may have. Decisions are made under lock()."""

from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce

from cloudnotes.api.errors import DomainError
from notes.files.models import StoredObject

LOCK = 0x71756F74  # "quot": the first number of the advisory locks


class QuotaExceeded(DomainError):
    """The account would have more bytes or files than it may."""

    status = 413
    code = "quota_exceeded"
    field = "file"

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"{problem} Delete files for good (`?permanent=true`), or notes that have some, and "
            "try again."
        )


def lock(owner_id: int) -> None:
    """Lock the quota of an account until the transaction ends.

    Taken after the lock of the note and before those of objects and feeds. It is an advisory lock
    with the account's number; two accounts with the same number wait for each other, which is
    harmless. SQLite has one writer at a time and needs no lock.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, owner_id % 2**31])


def get_usage(owner_id: int) -> dict[str, int]:
    """Return the bytes and files of an account and their limits.

    Equal files count once. Files that are only in the history or the trash, and announced uploads,
    count too.
    """
    size, number = _held(owner_id)
    return {
        "bytes": size,
        "max_bytes": settings.MAX_ACCOUNT_BYTES,
        "files": number,
        "max_files": settings.MAX_ACCOUNT_FILES,
    }


def check(owner_id: int, coming: StoredObject) -> None:
    """Raise :class:`QuotaExceeded` if one more object exceeds the quota; call :func:`lock` first.

    An object that was announced before does not count twice.
    """
    size, number = _held(owner_id, without=Q(pk=coming.pk))
    if size + coming.size > settings.MAX_ACCOUNT_BYTES:
        left = max(0, settings.MAX_ACCOUNT_BYTES - size)
        raise QuotaExceeded(f"The file has {coming.size} bytes and this account has {left} left.")
    if number + 1 > settings.MAX_ACCOUNT_FILES:
        raise QuotaExceeded(f"This account has all the {settings.MAX_ACCOUNT_FILES} files it may.")


def has_room(owner_id: int, size: int) -> bool:
    """Return whether the quota has room for a file of ``size`` bytes; an early check, no lock.

    Damaged objects do not count, because the new file may repair one of them.
    """
    held, number = _held(owner_id, without=Q(damaged_at__isnull=False))
    is_in_bytes: bool = held + size <= settings.MAX_ACCOUNT_BYTES
    is_in_files: bool = number + 1 <= settings.MAX_ACCOUNT_FILES
    return is_in_bytes and is_in_files


def _held(owner_id: int, without: Q | None = None) -> tuple[int, int]:
    rows: Any = StoredObject.objects.held_by(owner_id)
    if without is not None:
        rows = rows.exclude(without)
    totals = rows.aggregate(size=Coalesce(Sum("size"), 0), number=Count("pk"))
    return int(totals["size"]), int(totals["number"])

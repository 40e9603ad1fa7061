"""How many bytes and files an account holds, and may. What is decided is decided under lock()."""

from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce

from accounts.models import User
from cloudnotes.api.errors import DomainError
from notes.models import StoredObject

LOCK = 0x71756F74  # "quot": the first number of the advisory locks


class QuotaExceeded(DomainError):
    """The account would hold more than it may."""

    status = 413
    code = "quota_exceeded"
    field = "file"

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"{problem} Delete files for good (`?permanent=true`), or notes that have some, and "
            "try again."
        )


def lock(owner_id: int) -> None:
    """Be the only one to change what an account holds, until the transaction ends.

    Taken after the note and before objects and feeds. An advisory lock, whose number is the
    account's: who has the same one by chance waits needlessly. SQLite has one writer at a time.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, owner_id % 2**31])


def get_usage(user: User) -> dict[str, int]:
    """Return what an account holds, and at most may: bytes and files.

    Of equal files one counts. Those that only the history or the trash has, and those announced
    to come, count too.
    """
    size, number = _held(user.pk)
    return {
        "bytes": size,
        "max_bytes": settings.MAX_ACCOUNT_BYTES,
        "files": number,
        "max_files": settings.MAX_ACCOUNT_FILES,
    }


def check(owner_id: int, coming: StoredObject) -> None:
    """Raise :class:`QuotaExceeded` if an account cannot hold one object more; call :func:`lock`.

    What was announced of it before does not count twice.
    """
    size, number = _held(owner_id, without=Q(pk=coming.pk))
    if size + coming.size > settings.MAX_ACCOUNT_BYTES:
        left = max(0, settings.MAX_ACCOUNT_BYTES - size)
        raise QuotaExceeded(f"The file has {coming.size} bytes and this account has {left} left.")
    if number + 1 > settings.MAX_ACCOUNT_FILES:
        raise QuotaExceeded(f"This account has all the {settings.MAX_ACCOUNT_FILES} files it may.")


def has_room(owner_id: int, size: int) -> bool:
    """Return whether an account could hold so many bytes more, as it is now: for a first look.

    What is damaged does not count: its bytes may be those that come.
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

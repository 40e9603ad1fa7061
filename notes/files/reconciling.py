"""Compare the storage with the database, and correct differences where possible."""

import contextlib
import datetime as dt
import hashlib
import logging
from collections.abc import Generator
from dataclasses import dataclass, field

from django.utils import timezone

from cloudnotes.db.streaming import streamed
from notes.files import objects, storage, thumbnails
from notes.files.models import UPLOAD_LASTS, StoredObject
from notes.files.types import Listed

# Younger objects may still be on their way, or be newer than the list that was read.
GRACE = dt.timedelta(hours=1)

logger = logging.getLogger(__name__)


@dataclass
class Report:
    """The result, by keys. ``lost`` and ``wrong`` need a backup, or an upload of the same bytes."""

    checked: int = 0
    swept: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether every ready object exists and has the bytes that were stored."""
        return not self.lost and not self.wrong

    @property
    def is_clean(self) -> bool:
        """Whether, in addition, there was nothing to correct."""
        return self.is_whole and not (self.orphans or self.unfinished or self.stuck)

    def __str__(self) -> str:
        return (
            f"{self.checked} objects checked: {len(self.lost)} lost, {len(self.wrong)} wrong; "
            f"{self.swept} swept, {len(self.orphans)} without a row, "
            f"{len(self.unfinished)} unfinished uploads, {len(self.stuck)} cannot be deleted."
        )


def reconcile(
    *,
    now: dt.datetime,
    dry_run: bool = False,
    verify: bool = False,
    grace: dt.timedelta = GRACE,
    keeps_orphans: bool = False,
) -> Report:
    """Sweep, compare objects with rows, delete objects without a row, abort unfinished uploads.

    ``verify`` reads every object and compares its checksum; without it only sizes are compared.
    Damaged objects are marked, so that the next upload of the same bytes repairs them. Damaged
    thumbnails are made again. A ``dry_run`` changes nothing. ``keeps_orphans`` keeps stored files
    that have no row. Each difference is checked again before it counts, so the service can run
    meanwhile. Raises :class:`notes.files.storage.StorageUnavailable`.
    """
    report = Report()
    if not dry_run:
        report.swept = objects.sweep(now=now)
    with contextlib.closing(_pair_by_key()) as pairs:
        for row, listed in pairs:
            if row is None and listed is not None:
                _check_orphan(listed, report, now - grace, dry_run=dry_run or keeps_orphans)
            elif row is not None:
                report.checked += 1
                _check_row(row, listed, report, now, dry_run=dry_run, verify=verify)
    _check_arriving(report, now - grace, dry_run=dry_run)
    _check_unfinished(report, now - grace, dry_run=dry_run)
    report.stuck += StoredObject.objects.stuck().order_by("key").values_list("key", flat=True)
    return report


def reconcile_due() -> None:
    """Reconcile without reading the objects; a worker's job.

    Stored files without a row are counted and kept. They may belong to a database that was
    restored from a backup, or to another database. An operator's command deletes them.
    """
    try:
        report = reconcile(now=timezone.now(), grace=UPLOAD_LASTS + GRACE, keeps_orphans=True)
    except storage.StorageUnavailable:
        logger.warning("The storage does not answer; it is reconciled another time.")
        return
    log = logger.info if report.is_whole else logger.error
    log("storage reconciled: %s", report)


def _pair_by_key() -> Generator[tuple[StoredObject | None, Listed | None]]:
    """Yield ready rows and stored objects, paired by key; None where one of the two is missing."""
    ready = StoredObject.objects.filter(state=StoredObject.State.READY).order_by("key")
    with streamed(ready) as rows:
        entries = storage.listed()
        row, entry = next(rows, None), next(entries, None)
        while row is not None or entry is not None:
            if entry is None or (row is not None and row.key < entry.key):
                yield row, None
                row = next(rows, None)
            elif row is None or entry.key < row.key:
                yield None, entry
                entry = next(entries, None)
            else:
                yield row, entry
                row, entry = next(rows, None), next(entries, None)


def _check_row(
    row: StoredObject,
    listed: Listed | None,
    report: Report,
    now: dt.datetime,
    *,
    dry_run: bool,
    verify: bool,
) -> None:
    reads = verify or row.damaged_at is not None
    if listed is not None and listed.size == row.size and not reads:
        return
    head = storage.head(row.key)
    is_right = head is not None and head.size == row.size
    if is_right and reads:
        digest = hashlib.sha256()
        for piece in storage.stream(row.key) or ():
            digest.update(piece)
        is_right = digest.hexdigest() == row.sha256
    current = StoredObject.objects.filter(pk=row.pk, key=row.key, state=StoredObject.State.READY)
    if not is_right and current.exists():
        (report.lost if head is None else report.wrong).append(row.key)
    if dry_run:
        return
    if is_right != (row.damaged_at is None):
        current.update(damaged_at=None if is_right else now)
    if not is_right:
        thumbnails.make_again(row, now)


def _check_orphan(listed: Listed, report: Report, before: dt.datetime, *, dry_run: bool) -> None:
    if listed.modified_at > before or StoredObject.objects.filter(key=listed.key).exists():
        return
    report.orphans.append(listed.key)
    if not dry_run:
        storage.delete(listed.key)


def _check_arriving(report: Report, before: dt.datetime, *, dry_run: bool) -> None:
    for listed in storage.listed(is_arriving=True):
        key = storage.arrived(listed.key)
        pending = StoredObject.objects.filter(key=key, state=StoredObject.State.PENDING)
        if listed.modified_at <= before and not pending.exists():
            report.orphans.append(listed.key)
            if not dry_run:
                storage.delete(listed.key)


def _check_unfinished(report: Report, before: dt.datetime, *, dry_run: bool) -> None:
    for upload in storage.unfinished():
        pending = StoredObject.objects.filter(
            key=upload.key, upload_id=upload.upload_id, state=StoredObject.State.PENDING
        )
        if upload.begun_at <= before and not pending.exists():
            report.unfinished.append(upload.key)
            if not dry_run:
                storage.abort_parts(upload.key, upload.upload_id)

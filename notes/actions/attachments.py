"""The files of a note: add, replace, rename and remove them."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace

from django.db import transaction

from accounts.callers import Caller
from cloudnotes.api.errors import DomainError
from notes import events
from notes.actions.versions import Expected, bump_version, lock, write
from notes.files import filetypes, objects
from notes.models import Attachment, KeptFile, Note, Revision, StoredObject
from notes.models.attachments import MAX_FILES, File, join, main, split


class TooManyFiles(DomainError):
    """The note has as many files as a note may have."""

    status = 409
    code = "too_many_files"
    detail = f"A note has at most {MAX_FILES} files. Put this one into another note."
    field = "file"


class NoSuchFile(DomainError):
    """The file was removed from the note after it was read and before the lock."""

    status = 404
    code = "not_found"
    detail = "There is nothing here that you may see."


def add_file(
    *,
    note: Note,
    name: str,
    stored: StoredObject,
    by: Caller,
    now: dt.datetime,
    expected: Expected = None,
) -> tuple[Note, File]:
    """Add a file to a note and return both.

    ``stored`` is the row of :meth:`notes.files.objects.Receiver.finish`. Bytes that the owner has
    already are not stored twice. If this raises, the caller discards the object. Raises
    :class:`TooManyFiles`, :class:`notes.files.quotas.QuotaExceeded`,
    :class:`notes.files.objects.UploadTooSlow`, :class:`notes.actions.versions.NoteGone` and
    :class:`notes.actions.versions.StaleVersion`.
    """

    def added(note: Note, owned: StoredObject) -> tuple[Sequence[File], File]:
        files = split(note.files)
        if len(files) >= MAX_FILES:
            raise TooManyFiles
        attachment = Attachment.objects.create(note=note, object=owned)
        file = _file(attachment.pk, name, owned)
        return (*files, file), file

    return _store(added, note=note, stored=stored, by=by, now=now, expected=expected)


def store_main_file(
    *,
    note: Note,
    name: str,
    stored: StoredObject,
    by: Caller,
    now: dt.datetime,
    expected: Expected = None,
) -> tuple[Note, File]:
    """Make an object the note's main file; it replaces the current one. Return note and file.

    Raises as :func:`add_file`.
    """

    def set_main(note: Note, owned: StoredObject) -> tuple[Sequence[File], File]:
        files, before = split(note.files), main(note.files)
        if before is None and len(files) >= MAX_FILES:
            raise TooManyFiles
        pk = before.id if before else Attachment.objects.create(note=note, object=owned).pk
        file = replace(_file(pk, name, owned), is_main=True)
        return (_with(files, file) if before else (*files, file)), file

    return _store(set_main, note=note, stored=stored, by=by, now=now, expected=expected)


def replace_file(
    *,
    note: Note,
    attachment_id: int,
    name: str,
    stored: StoredObject,
    by: Caller,
    now: dt.datetime,
    expected: Expected = None,
) -> tuple[Note, File]:
    """Replace a file by an object and return note and file. The history keeps the old file.

    Raises :class:`NoSuchFile` and as :func:`add_file`.
    """

    def replaced(note: Note, owned: StoredObject) -> tuple[Sequence[File], File]:
        before = _find(note, attachment_id)
        file = replace(_file(before.id, name, owned), is_main=before.is_main)
        return _with(split(note.files), file), file

    return _store(replaced, note=note, stored=stored, by=by, now=now, expected=expected)


def rename_file(
    *,
    note: Note,
    attachment_id: int,
    name: str,
    by: Caller,
    now: dt.datetime,
    expected: Expected = None,
) -> tuple[Note, File]:
    """Rename a file of a note and return both.

    Raises :class:`NoSuchFile`, :class:`notes.actions.versions.NoteGone` and
    :class:`notes.actions.versions.StaleVersion`.
    """
    with transaction.atomic():
        note = lock(note, expected=expected)
        file = replace(_find(note, attachment_id), name=filetypes.clean_name(name))
        changes = {"files": join(_with(split(note.files), file))}
        if write(note, changes, by=by, cause=Note.Cause.FILE, now=now):
            events.record("file_renamed", note=note, by=by)
    return note, file


def remove_file(
    *,
    note: Note,
    attachment_id: int,
    by: Caller,
    now: dt.datetime,
    expected: Expected = None,
    for_good: bool = False,
) -> Note:
    """Remove a file from a note and return the note.

    The history keeps the file, and it counts in the quota. With ``for_good`` it is also removed
    from all revisions of the note. Raises as :func:`rename_file`.
    """
    with transaction.atomic():
        note = lock(note, expected=expected)
        files = join(each for each in split(note.files) if each.id != attachment_id)
        if for_good:  # also from the history; it may be in the history only
            object_ids = _forget(note, attachment_id)
            if not object_ids:
                raise NoSuchFile
            objects.delete_after_commit(pk__in=object_ids)
            Attachment.objects.filter(note=note, pk=attachment_id).delete()
            note.files = files
            bump_version(note, fields=["files"], now=now)
        else:
            _find(note, attachment_id)
            write(note, {"files": files}, by=by, cause=Note.Cause.FILE, now=now)
        events.record("file_removed", note=note, by=by)
    return note


def _store(
    change: Callable[[Note, StoredObject], tuple[Sequence[File], File]],
    *,
    note: Note,
    stored: StoredObject,
    by: Caller,
    now: dt.datetime,
    expected: Expected,
) -> tuple[Note, File]:
    """Make an object ready and write the files that ``change`` returns, in one transaction."""
    with transaction.atomic():
        note = lock(note, expected=expected)
        owned = objects.make_owned(stored, owner_id=note.owner_id, now=now)
        files, file = change(note, owned)
        if write(note, {"files": join(files)}, by=by, cause=Note.Cause.FILE, now=now):
            events.record("file_stored", note=note, by=by)
    return note, file


def _forget(note: Note, attachment_id: int) -> list[int]:
    """Remove a file from the history of a locked note; return the ids of its objects."""
    object_ids = {file.object for file in split(note.files) if file.id == attachment_id}
    for revision in Revision.objects.filter(note=note).exclude(files="").defer("content"):
        files = split(revision.files)
        remaining = [file for file in files if file.id != attachment_id]
        if len(remaining) < len(files):
            removed_ids = {file.object for file in files if file.id == attachment_id}
            object_ids |= removed_ids
            freed_ids = removed_ids - {file.object for file in remaining}
            KeptFile.objects.filter(revision=revision, object__in=freed_ids).delete()
            Revision.objects.filter(pk=revision.pk).update(files=join(remaining))
    return sorted(object_ids)


def _find(note: Note, attachment_id: int) -> File:
    for file in split(note.files):
        if file.id == attachment_id:
            return file
    raise NoSuchFile


def _file(attachment_id: int, name: str, stored: StoredObject) -> File:
    return File(
        id=attachment_id,
        object=stored.pk,
        name=filetypes.clean_name(name),
        size=stored.size,
        content_type=stored.content_type,
        sha256=stored.sha256,
        width=stored.width,
        height=stored.height,
    )


def _with(files: Sequence[File], file: File) -> list[File]:
    """Return ``files`` with the one of the same id replaced by ``file``."""
    return [file if each.id == file.id else each for each in files]

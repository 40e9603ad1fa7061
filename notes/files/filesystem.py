"""Objects as files below a folder. No ORM, no HTTP."""

import contextlib
import datetime as dt
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from django.core.files.storage import FileSystemStorage

from notes.files.types import Head, Listed, Parts, Unfinished

READ_BYTES = 2**18


class FolderStorage(FileSystemStorage):
    """Files below a folder; each is synced to the disk before it counts as stored."""

    verifies_checksums = False
    takes_parts = False

    def _path(self, key: str) -> Path:
        return Path(self.path(key))

    def open_writer(self, key: str, *, on_parts: Callable[[str], None]) -> "FolderWriter":
        """Return a writer that writes a file to a new key while its bytes arrive."""
        return FolderWriter(self._path(key))

    def head(self, key: str) -> Head | None:
        """Return the size of a file, None if it does not exist."""
        try:
            return Head(size=self._path(key).stat().st_size, sha256=None)
        except FileNotFoundError:
            return None

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes] | None:
        """Return the bytes from ``start`` to before ``end``; None if there is no file."""
        path = self._path(key)
        return _pieces(path, start, end) if path.is_file() else None

    def copy(self, source: str, key: str) -> None:
        """Make a file available under a second key (a hard link)."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.link(self._path(source), path)
        _sync_folders(path)

    def rename(self, source: str, key: str) -> None:
        """Move a file to another key; replaces the file there."""
        path = self._path(key)
        self._path(source).replace(path)
        _sync_folders(path)

    def remove(self, key: str) -> None:
        """Delete a file; succeeds if it does not exist."""
        path = self._path(key)
        path.unlink(missing_ok=True)
        _part(path).unlink(missing_ok=True)

    def listed(self, prefix: str) -> Iterator[Listed]:
        """Yield all files whose keys start with ``prefix``, in the order of their keys."""
        root = Path(self.location)
        for folder, folders, names in os.walk(root / prefix):
            folders.sort()
            for name in sorted(names):
                path = Path(folder) / name
                with contextlib.suppress(FileNotFoundError):
                    stat = path.stat()
                    modified_at = dt.datetime.fromtimestamp(stat.st_mtime, dt.UTC)
                    yield Listed(str(path.relative_to(root)), stat.st_size, modified_at)

    def link(self, key: str, name: str, content_type: str, *, is_inline: bool) -> str | None:
        """Return None: a folder does not serve files itself."""
        return None

    def upload_link(self, key: str, *, size: int, sha256: str) -> tuple[str, dict[str, str]] | None:
        """Return None: a folder does not receive files itself."""
        return None

    def begin_parts(self, key: str) -> str:
        """Raise NotImplementedError: a folder takes files whole (``takes_parts``)."""
        raise NotImplementedError("a folder takes files whole")

    def part_link(self, key: str, upload_id: str, number: int, *, size: int) -> str:
        """Raise NotImplementedError: a folder takes files whole (``takes_parts``)."""
        raise NotImplementedError("a folder takes files whole")

    def finish_parts(self, key: str, upload_id: str, parts: Parts) -> None:
        """Raise NotImplementedError: a folder takes files whole (``takes_parts``)."""
        raise NotImplementedError("a folder takes files whole")

    def abort_parts(self, key: str, upload_id: str) -> None:
        """Do nothing: there are no uploads in parts."""

    def parts(self, key: str, upload_id: str) -> Parts | None:
        """Return None: there are no uploads in parts."""
        return None

    def unfinished(self) -> Iterator[Unfinished]:
        """Yield nothing: there are no uploads in parts."""
        return iter(())

    def is_reachable(self) -> bool:
        """Return True: the folder is made when it is needed."""
        return True


class FolderWriter:
    """Writes a file while its bytes arrive, under a temporary name until it is complete."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.file = _part(path).open("wb")

    def write(self, chunk: bytes) -> None:
        """Write the next bytes; on an error, such as a full disk, deletes what was written."""
        try:
            self.file.write(chunk)
            self.file.flush()
        except OSError:
            self.abort()
            _part(self.path).unlink(missing_ok=True)
            raise

    def finish(self) -> None:
        """Sync the file to the disk and give it its name."""
        with self.file:
            self.file.flush()
            os.fsync(self.file.fileno())
        _part(self.path).replace(self.path)
        _sync_folders(self.path)

    def abort(self) -> None:
        """Stop writing; the caller, who knows the key, deletes what was written."""
        self.file.close()


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _sync_folders(path: Path) -> None:
    for folder in (path.parent, path.parent.parent):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _pieces(path: Path, start: int, end: int | None) -> Iterator[bytes]:
    with path.open("rb") as file:  # opened at the first read, which may never happen
        file.seek(start)
        left = (end - start) if end is not None else -1
        while left:
            piece = file.read(READ_BYTES if left < 0 else min(READ_BYTES, left))
            if not piece:
                return
            left -= len(piece) if left > 0 else 0
            yield piece

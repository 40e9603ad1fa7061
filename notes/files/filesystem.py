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
    """Files below a folder, on the disk before they are said to be stored."""

    verifies_checksums = False
    takes_parts = False

    def _path(self, key: str) -> Path:
        return Path(self.path(key))

    def open_writer(self, key: str, *, on_parts: Callable[[str], None]) -> "FolderWriter":
        """Return what writes a file under a key that was never used, as its bytes come."""
        return FolderWriter(self._path(key))

    def head(self, key: str) -> Head | None:
        """Return the size of a file, None if there is none."""
        try:
            return Head(size=self._path(key).stat().st_size, sha256=None)
        except FileNotFoundError:
            return None

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes] | None:
        """Return the bytes of a file from ``start`` to before ``end``; None if there is none."""
        path = self._path(key)
        return _pieces(path, start, end) if path.is_file() else None

    def copy(self, source: str, key: str) -> None:
        """Have a file under a second key too."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.link(self._path(source), path)
        _sync_folders(path)

    def rename(self, source: str, key: str) -> None:
        """Have a file under another key, in place of what is there."""
        path = self._path(key)
        self._path(source).replace(path)
        _sync_folders(path)

    def remove(self, key: str) -> None:
        """Delete a file; deleting one that is gone succeeds."""
        path = self._path(key)
        path.unlink(missing_ok=True)
        _part(path).unlink(missing_ok=True)

    def listed(self, prefix: str) -> Iterator[Listed]:
        """Yield all files whose keys begin so, in the order of their keys."""
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
        """Return None: a folder answers nobody itself."""
        return None

    def upload_link(self, key: str, *, size: int, sha256: str) -> tuple[str, dict[str, str]] | None:
        """Return None: a folder takes nothing from anybody itself."""
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
        """Return whether there is a folder, or a place for one."""
        return True


class FolderWriter:
    """Writes a file as its bytes come, under another name until it is whole."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.file = _part(path).open("wb")

    def write(self, chunk: bytes) -> None:
        """Write some more bytes; a disk that is full gets back what there is already."""
        try:
            self.file.write(chunk)
            self.file.flush()
        except OSError:
            self.abort()
            _part(self.path).unlink(missing_ok=True)
            raise

    def finish(self) -> None:
        """Wait until the disk has all of it."""
        with self.file:
            self.file.flush()
            os.fsync(self.file.fileno())
        _part(self.path).replace(self.path)
        _sync_folders(self.path)

    def abort(self) -> None:
        """Stop writing; what was written is left to who knows the key."""
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
    with path.open("rb") as file:  # only when somebody reads: nobody may
        file.seek(start)
        left = (end - start) if end is not None else -1
        while left:
            piece = file.read(READ_BYTES if left < 0 else min(READ_BYTES, left))
            if not piece:
                return
            left -= len(piece) if left > 0 else 0
            yield piece

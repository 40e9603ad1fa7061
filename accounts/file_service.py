"""What accounts needs of the app that stores files. The setting ``FILE_SERVICE`` names a module."""

from collections.abc import Sequence
from importlib import import_module
from typing import IO, Any, Protocol, cast

from django.conf import settings

from accounts.models import User


class FileService(Protocol):
    """The functions of the module that ``FILE_SERVICE`` names; a key identifies a stored object.

    An object is stored first, outside of transactions. It becomes permanent when ``make_ready`` is
    committed together with the row that holds its key. The service deletes objects of interrupted
    calls. ``store`` and ``read`` raise the service's own error (503) when the storage does not
    answer; what cannot be deleted then is deleted later.
    """

    def store(self, *, content: IO[bytes], content_type: str) -> str:
        """Store an object and return its key."""

    def make_ready(self, *, key: str) -> object:
        """Make an object permanent, in the transaction that saves its key.

        Raises a DomainError if it was given up meanwhile.
        """

    def read(self, *, key: str) -> bytes | None:
        """Return the bytes of an object, None if there is none."""

    def discard(self, *keys: str) -> None:
        """Delete objects that were stored and are not needed after all."""

    def delete_after_commit(self, *, keys: Sequence[str]) -> None:
        """Delete objects after the commit, if no row has their keys then."""

    def get_usage(self, *, user: User) -> dict[str, int]:
        """Return ``bytes``, ``max_bytes``, ``files`` and ``max_files`` of an account."""

    def release_owner(self, *, owner: User) -> None:
        """Delete the files of an account after the commit, in the transaction that deletes it.

        Takes the locks that a write of this user takes first, so it is called before the user's row
        is locked.
        """


def get_file_service() -> FileService:
    """Return the module that ``FILE_SERVICE`` names."""
    service: Any = import_module(settings.FILE_SERVICE)
    return cast(FileService, service)

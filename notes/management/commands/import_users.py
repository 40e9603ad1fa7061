"""``import_users``: imports users and notes from the JSON store of the earlier generation."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError, OperationalError, ProgrammingError, transaction
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from accounts import hashers
from accounts.actions import users
from accounts.api.auth import RegisterSerializer
from accounts.identifiers import fold_address
from accounts.models import User
from notes import transfer
from notes.actions import imports
from notes.models import ImportedItem
from notes.models.notes import MAX_CONTENT_BYTES, MAX_TITLE_LENGTH
from notes.transfer import UnusableRecord, shown

NO_TIME = "created_at is missing or no time in the past: the time of the import is kept"


@dataclass
class Tally:
    """Counts the results for the records of one kind."""

    imported: int = 0
    already_there: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        return (
            f"{self.imported} imported, {self.already_there} already there, {self.skipped} skipped."
        )


class Command(BaseCommand):
    """Can be repeated and run in parallel: what exists already is not changed.

    Each user and each item has its own transaction, so the next run completes an interrupted one.
    Prints what was skipped or changed and why, but never a hash or the text of a note.
    """

    help = "Import users and their notes from the JSON store of the earlier generation."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="The store, a JSON file.")
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Do everything in one transaction and undo it. SQLite takes no other write "
            "meanwhile.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.now = timezone.now()
        dry_run = options["dry_run"]
        try:
            store = transfer.read_store(options["file"])
            with transaction.atomic() if dry_run else contextlib.nullcontext():
                owners = self._import_users(store)
                self._import_items(store, owners)
                if dry_run:
                    transaction.set_rollback(True)
        except transfer.UnreadableStore as error:
            raise CommandError(str(error)) from None
        except (OperationalError, ProgrammingError) as error:
            raise CommandError(
                "The database cannot be used: is it up, migrated and not locked? Run the command "
                "again then: what was imported stays and comes in once."
            ) from error
        if dry_run:
            self._print("A dry run: nothing of this was kept.")

    def _import_users(self, store: transfer.Store) -> dict[str, User]:
        """Import all users; return the accounts by the key of the record."""
        tally = Tally()
        owners: dict[str, User] = {}
        created: dict[int, str] = {}
        for key, record in store.users.items():
            try:
                earlier = transfer.read_user(key, record, now=self.now)
                user, is_new, notices = self._import_user(earlier)
                if not is_new and user.pk not in created and not _belongs_to(user, earlier):
                    raise UnusableRecord(
                        "somebody has registered its e-mail address and never confirmed it"
                    )
            except UnusableRecord as reason:
                tally.skipped += 1
                self._print(f"user {shown(key)} skipped: {reason}.")
                continue
            owners[key] = user
            if is_new:
                tally.imported += 1
                created[user.pk] = key
            else:
                tally.already_there += 1
                if user.pk in created:
                    notices = [
                        f"it has the e-mail address of {shown(created[user.pk])}: one account"
                    ]
            for notice in notices:
                self._print(f"user {shown(key)}: {notice}.")
        self._print(f"Users: {tally}")
        return owners

    def _import_user(self, earlier: transfer.EarlierUser) -> tuple[User, bool, list[str]]:
        """Return the account of a user, whether it is new, and notices of what was changed.

        Raises :class:`notes.transfer.UnusableRecord`.
        """
        if not earlier.email:
            raise UnusableRecord("it has no e-mail address")
        try:
            email = _validate("email", earlier.email)
        except ValidationError as error:
            raise UnusableRecord(f"the e-mail address is not valid: {_reason(error)}") from None
        notices: list[str] = []
        username = self._username(earlier, notices)
        full_name = self._full_name(earlier, notices)
        password_hash = hashers.adopt(earlier.password_hash)
        if password_hash is None:
            notices.append(
                'the password\'s hash cannot be used: they log in after "forgot password"'
            )
        if earlier.created_at is None:
            notices.append(NO_TIME)
        for name in (username, None):
            if account := _account(email):
                return account, False, []
            if name != username:
                notices.append("imported without the username, which somebody else has")
            # A parallel run may import the same user between the query and the write.
            with contextlib.suppress(IntegrityError):
                user = users.import_user(
                    email=email,
                    username=name,
                    full_name=full_name,
                    password_hash=password_hash,
                    is_active=earlier.is_active,
                    created_at=earlier.created_at or self.now,
                )
                return user, True, notices
        if account := _account(email):
            return account, False, []
        raise UnusableRecord("the account came and went while it was imported")

    def _username(self, earlier: transfer.EarlierUser, notices: list[str]) -> str | None:
        try:
            return _validate("username", earlier.username) or None
        except ValidationError as error:
            notices.append(f"imported without the username: {_reason(error)}")
            return None

    def _full_name(self, earlier: transfer.EarlierUser, notices: list[str]) -> str:
        length = User._meta.get_field("full_name").max_length or 0
        if len(earlier.full_name) > length:
            notices.append(f"the full name was cut to {length} characters")
        try:
            return str(_validate("full_name", earlier.full_name[:length]))
        except ValidationError as error:
            notices.append(f"imported without the full name: {_reason(error)}")
            return ""

    def _import_items(self, store: transfer.Store, owners: dict[str, User]) -> None:
        tally = Tally()
        digests: dict[tuple[int, str], str] = {}
        for key, records in store.items.items():
            if not isinstance(records, list):
                tally.skipped += 1
                self._print(f"items of {shown(key)} skipped: they are not a list.")
                continue
            for number, record in enumerate(records, start=1):
                name = f"item {transfer.item_name(record, number)} of {shown(key)}"
                try:
                    if key not in owners:
                        raise UnusableRecord("its user was not imported")
                    item = transfer.read_item(record, key=key, store=store, now=self.now)
                    source = item.source
                    if digests.get((owners[key].pk, source), item.digest) != item.digest:
                        source = item.digest  # the id names another item of the same account
                    is_new, notices = self._import_item(item, source, owners[key])
                    digests[owners[key].pk, source] = item.digest
                except UnusableRecord as reason:
                    tally.skipped += 1
                    self._print(f"{name} skipped: {reason}.")
                    continue
                if is_new:
                    tally.imported += 1
                else:
                    tally.already_there += 1
                for notice in notices:
                    self._print(f"{name}: {notice}.")
        self._print(f"Items: {tally}")

    def _import_item(
        self, item: transfer.EarlierItem, source: str, owner: User
    ) -> tuple[bool, list[str]]:
        """Return whether a note was created, and notices of what was changed.

        Raises :class:`notes.transfer.UnusableRecord`.
        """
        notices: list[str] = []
        title, content = item.title, item.content
        if item.had_nul:
            notices.append("NUL characters were taken out")
        if len(title) > MAX_TITLE_LENGTH:
            title, content = title[:MAX_TITLE_LENGTH], f"{title}\n\n{content}"
            notices.append(
                f"the title was cut to {MAX_TITLE_LENGTH} characters and stands whole in the text"
            )
        if len(content.encode()) > MAX_CONTENT_BYTES:
            raise UnusableRecord(f"its text has more than {MAX_CONTENT_BYTES} bytes in UTF-8")
        if item.created_at is None:
            notices.append(NO_TIME)
        try:
            note = imports.import_item(
                owner=owner,
                source=source,
                title=title,
                content=content,
                created_at=item.created_at or self.now,
            )
        except IntegrityError:
            raise UnusableRecord("the account was deleted meanwhile") from None
        return (True, notices) if note else (False, [])

    def _print(self, line: str) -> None:
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        self.stdout.write(line.encode(encoding, "backslashreplace").decode(encoding))


def _account(email: str) -> User | None:
    return User.objects.filter(email_folded=fold_address(email)).first()


def _belongs_to(user: User, earlier: transfer.EarlierUser) -> bool:
    """Return whether an account belongs to the person of a record, not to a stranger.

    It does if its e-mail address is confirmed or if it was imported from the same record: nobody
    can choose ``created_at``.
    """
    return (
        user.email_verified
        or user.created_at == earlier.created_at
        or ImportedItem.objects.filter(owner=user).exists()
    )


def _validate(field: str, value: str) -> Any:
    """Validate a value as registration does and return it. Raises DRF's ValidationError."""
    return RegisterSerializer().fields[field].run_validation(value)


def _reason(error: ValidationError) -> str:
    return " ".join(str(detail) for detail in error.detail).rstrip(".")

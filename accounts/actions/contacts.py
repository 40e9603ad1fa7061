"""Contacts: every write of a contact is here."""

import datetime as dt
from dataclasses import asdict, dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts import vcards
from accounts.actions.credentials import AccountGone
from accounts.address_book import key_of
from accounts.models import Contact, User
from cloudnotes.api.errors import DomainError

MAX_CONTACTS = 10_000
MAX_CARDS = 2_000
BATCH_SIZE = 500
CARRIED = ("first_name", "last_name", "email", "phone", "birthday", "notes")
DERIVED = ("birthday_key", "search_text")


class ContactGone(DomainError):
    """The contact was deleted between the first query and the lock."""

    status = 404
    code = "not_found"
    detail = "There is nothing here that you may see."


class TooManyContacts(DomainError):
    """The owner would have more than ``MAX_CONTACTS`` contacts."""

    status = 409
    code = "too_many_contacts"
    detail = f"An account has at most {MAX_CONTACTS} contacts. Delete some, then try again."


class NoCards(DomainError):
    """A file to import holds no vCard."""

    code = "no_cards"
    detail = "There is no vCard in the body: none of its lines is BEGIN:VCARD."


class TooManyCards(DomainError):
    """A file to import holds too many vCards."""

    code = "too_many_cards"
    detail = f"At most {MAX_CARDS} vCards are imported at once. Send them in several parts."


@dataclass
class Import:
    """The result of an import: counts of cards, and notices about single cards by index."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)


def create_contact(*, owner: User, fields: dict[str, Any], now: dt.datetime) -> Contact:
    """Create and return a contact of ``owner``; ``fields`` is by the names of the model.

    Raises IntegrityError by ``contact_has_a_name``, :class:`TooManyContacts` and AccountGone.
    """
    contact = Contact(owner=owner, created_at=now, updated_at=now, **fields)
    contact.derive()
    with transaction.atomic():
        _lock(owner)
        _check_room(owner, for_number=1)
        contact.save(force_insert=True)
    return contact


def update_contact(*, contact: Contact, changes: dict[str, Any], now: dt.datetime) -> Contact:
    """Set the fields in ``changes`` (by the names of the model) and return the contact.

    Only fields that differ are written. Raises IntegrityError by ``contact_has_a_name`` and
    :class:`ContactGone`.
    """
    with transaction.atomic():
        locked = Contact.objects.select_for_update().filter(pk=contact.pk).first()
        if locked is None:
            raise ContactGone
        if changed := _set(locked, changes):
            locked.updated_at = now
            locked.save(update_fields=[*changed, *DERIVED, "updated_at"])
    return locked


def delete_contact(*, contact: Contact) -> None:
    """Delete a contact for good. Raises :class:`ContactGone`."""
    deleted, _ = Contact.objects.filter(pk=contact.pk).delete()
    if not deleted:
        raise ContactGone


def import_contacts(*, owner: User, text: str, now: dt.datetime) -> Import:
    """Create or update contacts of ``owner`` from the vCards in ``text``.

    The UID of a card identifies its contact. A card without a UID gets one that is derived from its
    content, so that importing a file again changes nothing. Cards that cannot be a contact are
    skipped and listed in the result. The others are stored all or none: raises :class:`NoCards`,
    :class:`TooManyCards`, :class:`TooManyContacts` and AccountGone.
    """
    report = Import()
    readings = []
    for reading in vcards.read(text):
        if reading.index == MAX_CARDS:
            raise TooManyCards
        reason = reading.reason or _unfit(reading.card)
        if reason:
            report.skipped.append({"card": reading.index, "reason": reason})
        else:
            readings.append(reading)
            report.notices += [
                {"card": reading.index, "notice": notice} for notice in reading.notices
            ]
    if not (readings or report.skipped):
        raise NoCards
    with transaction.atomic():
        _lock(owner)
        _store(owner, readings, report, now)
    return report


def _unfit(card: vcards.Card | None) -> str:
    """Return why a card cannot be a contact, '' when it can."""
    assert card is not None
    try:
        Contact(**asdict(card)).clean_fields(exclude={"owner"})
    except ValidationError as error:
        name, messages = next(iter(error.message_dict.items()))
        return f"{name}: {messages[0]}"
    return ""


def _store(owner: User, readings: list[vcards.Reading], report: Import, now: dt.datetime) -> None:
    """Write the cards, with the owner locked, and count them in ``report``."""
    cards = [(reading, reading.card) for reading in readings if reading.card]
    uids = sorted({card.uid for _, card in cards})
    contacts_by_uid: dict[str, Contact] = {}
    for start in range(0, len(uids), BATCH_SIZE):
        batch = uids[start : start + BATCH_SIZE]
        rows = Contact.objects.visible_to(owner).select_for_update().filter(uid__in=batch)
        contacts_by_uid |= {contact.uid: contact for contact in rows}
    contacts_to_write = {}
    for reading, card in cards:
        fields = {name: getattr(card, name) for name in CARRIED}
        fields["birthday_key"] = key_of(card.birthday) if card.birthday else None
        contact = contacts_by_uid.get(card.uid)
        if contact is None:
            contact = Contact(owner=owner, uid=card.uid, created_at=now, **fields)
            contact.derive()
            contacts_by_uid[card.uid] = contact
            report.created += 1
        else:
            if reading.is_birthday_lost:
                del fields["birthday"], fields["birthday_key"]  # the contact may know the year
            if vcards.carried(contact.notes) == vcards.carried(card.notes):
                del fields["notes"]  # they differ only in characters that a vCard cannot hold
            if not _set(contact, fields):
                report.unchanged += 1
                continue
            report.updated += 1
        contact.updated_at = now
        contact.pk = None  # the UID says which row it is
        contacts_to_write[card.uid] = contact
    _check_room(owner, for_number=report.created)
    # `bulk_update` took 5 s for 2,000 contacts, this takes 0.3 s.
    Contact.objects.bulk_create(
        contacts_to_write.values(),
        batch_size=BATCH_SIZE,
        update_conflicts=True,
        unique_fields=["owner", "uid"],
        update_fields=[*CARRIED, *DERIVED, "updated_at"],
    )


def _set(contact: Contact, changes: dict[str, Any]) -> list[str]:
    """Set fields and the fields derived from them; return the names of those that differed."""
    changed = [name for name, value in changes.items() if getattr(contact, name) != value]
    for name in changed:
        setattr(contact, name, changes[name])
    contact.derive()
    return changed


def _lock(owner: User) -> None:
    """Lock the owner's row, so that parallel calls count contacts one after the other.

    The lock (FOR NO KEY UPDATE) lets other transactions insert rows that refer to the owner.
    Raises AccountGone.
    """
    if (
        not User.objects.select_for_update(no_key=True)
        .filter(pk=owner.pk)
        .values_list("pk")
        .first()
    ):
        raise AccountGone


def _check_room(owner: User, *, for_number: int) -> None:
    """Raise :class:`TooManyContacts` unless a locked owner may have ``for_number`` more."""
    if Contact.objects.visible_to(owner).count() + for_number > MAX_CONTACTS:
        raise TooManyContacts

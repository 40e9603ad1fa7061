"""File formats of imports. No ORM, no HTTP.

So far there is one, the JSON store of the earlier generation::

    {"users": {name: {username, email, hashed_password, full_name, disabled, created_at}},
     "items": {name: [{id, title, description, owner, created_at}]}}
"""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE_LENGTH = 100
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class UnreadableStore(Exception):
    """The file is not a valid store; the message says why in one line."""


class UnusableRecord(Exception):
    """A record cannot be imported; the message says why and contains none of its text."""


@dataclass(frozen=True)
class Store:
    """A whole file: records by the user's key, not validated yet."""

    users: dict[str, Any]
    items: dict[str, Any]


@dataclass(frozen=True)
class EarlierUser:
    """A user record with values of the right types; ``created_at`` None means unknown."""

    email: str
    username: str
    full_name: str
    password_hash: str
    is_active: bool
    created_at: dt.datetime | None


@dataclass(frozen=True)
class EarlierItem:
    """An item that can be stored.

    ``source`` identifies it by its id, ``digest`` by its content; both have at most 100 characters.
    """

    source: str
    digest: str
    title: str
    content: str
    had_nul: bool
    created_at: dt.datetime | None


def read_store(path: Path) -> Store:
    """Read a file of strict JSON (RFC 8259). Raises :class:`UnreadableStore`."""
    try:
        value = json.loads(
            path.read_bytes().decode("utf-8-sig"),
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique,
        )
    except OSError as error:
        raise UnreadableStore(f"The file cannot be read: {error.strerror}.") from None
    except RecursionError:
        raise UnreadableStore("The file is nested too deeply to be a store.") from None
    except ValueError as error:
        raise UnreadableStore(f"The file is not valid JSON: {error}.") from None
    users = value.get("users") if isinstance(value, dict) else None
    items = value.get("items", {}) if isinstance(value, dict) else None
    if not isinstance(users, dict) or not isinstance(items, dict):
        raise UnreadableStore(
            'The file is no store of the earlier generation: {"users": {…}, "items": {…}}.'
        )
    return Store(users, items)


def read_user(key: str, record: object, *, now: dt.datetime) -> EarlierUser:
    """Return the user of a record; if it has no username, the key is the username.

    Raises :class:`UnusableRecord`.
    """
    if not isinstance(record, dict):
        raise UnusableRecord("it is not an object")
    disabled = record.get("disabled")
    if disabled is not None and not isinstance(disabled, bool):
        raise UnusableRecord("disabled is neither true nor false")
    return EarlierUser(
        email=_text(record, "email"),
        username=_text(record, "username") or key,
        full_name=_text(record, "full_name"),
        password_hash=_text(record, "hashed_password"),
        is_active=not disabled,
        created_at=_time(record, now),
    )


def read_item(record: object, *, key: str, store: Store, now: dt.datetime) -> EarlierItem:
    """Return the item of a record in the list of the user ``key``, without NUL characters.

    Raises :class:`UnusableRecord`, also if the record names another owner.
    """
    if not isinstance(record, dict):
        raise UnusableRecord("it is not an object")
    if not _is_owner(_text(record, "owner") or key, key, store):
        raise UnusableRecord("its owner is somebody else")
    title, content = _text(record, "title"), _text(record, "description")
    if not _is_storable(title + content):
        raise UnusableRecord("its text holds half of a surrogate pair")
    created = record.get("created_at")
    digest = _digest([title, content, created if isinstance(created, str) else ""])
    return EarlierItem(
        source=_source(record) or digest,
        digest=digest,
        title=title.replace("\0", ""),
        content=content.replace("\0", ""),
        had_nul="\0" in title + content,
        created_at=_time(record, now),
    )


def item_name(record: object, number: int) -> str:
    """Return the name of an item for a report: its id, else its number in the list."""
    identifier = record.get("id") if isinstance(record, dict) else None
    if isinstance(identifier, str | int) and not isinstance(identifier, bool) and identifier != "":
        return shown(str(identifier))
    return f"number {number}"


def shown(name: str) -> str:
    """Return a name that is safe to print on a terminal: quoted, escaped, at most 80 characters."""
    return repr(name if len(name) <= 80 else name[:79] + "…")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name occurs twice in one object")
    return members


def _text(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UnusableRecord(f"{name} is not text")
    return value


def _time(record: dict[str, Any], now: dt.datetime) -> dt.datetime | None:
    """Return ``created_at`` if it is ISO 8601 between 1970 and now; UTC if it has no time zone."""
    written = record.get("created_at")
    try:
        time = dt.datetime.fromisoformat(written) if isinstance(written, str) else None
    except ValueError:
        return None
    if time is None:
        return None
    time = time if time.tzinfo else time.replace(tzinfo=dt.UTC)
    return time.astimezone(dt.UTC) if EPOCH <= time <= now else None


def _is_owner(owner: str, key: str, store: Store) -> bool:
    """Return whether ``owner`` means the user ``key``: as the key, the username or the e-mail.

    A username or e-mail that is the key of another user means that user.
    """
    if owner == key:
        return True
    user = store.users.get(key)
    named = isinstance(user, dict) and owner in (user.get("username"), user.get("email"))
    return named and owner not in store.users


def _source(record: dict[str, Any]) -> str:
    """Return a record's id as text, hashed if it is too long or not storable; '' if it has none."""
    identifier = record.get("id")
    if identifier is None or identifier == "":
        return ""
    if isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise UnusableRecord("id is neither text nor a whole number")
    text = str(identifier)
    fits = len(text) <= SOURCE_LENGTH and text.isprintable()
    return text if fits else _digest([text])


def _digest(parts: list[str]) -> str:
    return "sha256:" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

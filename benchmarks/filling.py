"""The notes that every contender starts with: the same for all, the same in every run."""

import datetime as dt
import random
import string
from collections.abc import Iterator
from typing import NamedTuple

import bcrypt
import psycopg

USERS, NOTES, CONTENT_BYTES = 50, 200, 500
PASSWORD = "a password of the benchmarks"
COST = 12  # of bcrypt, Django's default too
BEGAN_AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

_random = random.Random(1)
WORDS = [
    "".join(_random.choices(string.ascii_lowercase, k=_random.randint(4, 9))) for _ in range(2000)
]


class Text(NamedTuple):
    """A note before it belongs to anyone; ``at`` is when it was written."""

    title: str
    content: str
    at: dt.datetime


def email(user: int) -> str:
    """Return the address of a user; they are numbered from 1."""
    return f"user{user}@example.org"


def content(chosen: random.Random) -> str:
    """Return a text of 500 bytes."""
    return " ".join(chosen.choices(WORDS, k=CONTENT_BYTES // 4))[:CONTENT_BYTES]


def texts(user: int) -> Iterator[Text]:
    """Yield the notes of a user, the oldest first."""
    chosen = random.Random(user)
    for number in range(1, NOTES + 1):
        at = BEGAN_AT + dt.timedelta(hours=number, seconds=user)
        yield Text(f"Note {number} of user {user}", content(chosen), at)


def fill_baseline(url: str) -> None:
    """Fill the tables of a baseline, which are empty."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(COST)).decode()
    notes = "notes (owner_id, title, content, category, version, created_at, updated_at)"
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        with cursor.copy("COPY users (email, hashed_password, is_active) FROM STDIN") as copy:
            for user in range(1, USERS + 1):
                copy.write_row((email(user), hashed, True))
        ids = dict(cursor.execute("SELECT email, id FROM users").fetchall())
        with cursor.copy(f"COPY {notes} FROM STDIN") as copy:
            for user in range(1, USERS + 1):
                for text in texts(user):
                    owner = ids[email(user)]
                    copy.write_row((owner, text.title, text.content, "", 1, text.at, text.at))

"""A process of writers: threads that change notes through the actions, and tell what became of it.

Started by :mod:`benchmarks.feed` with a load in JSON. Every line that it prints is one change in
JSON: its ``token``, ``kind``, ``note``, ``version`` (None of a purge) and ``outcome``, which is
``acknowledged`` (the commit returned), ``rolled back``, ``unknown`` (the commit did not return) or
``failed`` (it did not come to the commit).
"""

import json
import logging
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from accounts.callers import Caller
from accounts.models import User
from cloudnotes.api.errors import DomainError
from notes.actions import edits, notes
from notes.models import Note

KINDS = {"update": 45, "append": 15, "prepend": 5, "toggle_task": 5,
         "create": 10, "trash": 8, "restore": 6, "purge": 6}  # fmt: skip
LOOKED_AT_EVERY = 20  # changes, after which a writer looks anew which notes there are
FEWEST_NOTES = 20
AFTER_AN_ERROR_SECONDS = 0.05

output = threading.Lock()


class RolledBack(Exception):
    """A writer thinks better of it."""


class Writer:
    """Makes its share of the changes, one transaction each.

    The credential of each change is a token of its own, so every state in the history tells which
    change brought it about, and none is coalesced.
    """

    def __init__(self, load: dict[str, Any], number: str) -> None:
        self.load, self.number = load, number
        self.random = random.Random(f"{load['seed']} {number}")
        self.there: dict[int, list[tuple[int, bool]]] = {}

    def run(self) -> None:
        users: list[User] = []
        made = tried = 0
        while made < self.load["changes"]:
            tried += 1
            token = f"{self.number} {tried}"
            if tried % LOOKED_AT_EVERY == 0:
                self.there.clear()
            is_written = False
            change: dict[str, Any] = {"token": token}
            try:
                users = users or list(User.objects.filter(pk__in=self.load["accounts"]))
                by = Caller(self.random.choice(users), credential=token)
                there = self._look(by)
                is_kept = self.random.random() >= self.load["rollbacks"]
                with transaction.atomic():
                    change |= self._change(by, there, text=token if is_kept else self.load["mark"])
                    self._pause()
                    if not is_kept:
                        raise RolledBack
                    is_written = True
            except RolledBack:
                tell(change, "rolled back")
            except DomainError:  # somebody else was faster
                self.there.clear()
            except (InterfaceError, OperationalError) as error:
                what = type(error.__cause__ or error).__name__
                tell({"kind": "", **change, "error": what}, "unknown" if is_written else "failed")
                self.there.clear()
                connection.close()
                time.sleep(AFTER_AN_ERROR_SECONDS)
            else:
                if change["kind"]:
                    tell(change, "acknowledged")
                    made += 1
        connection.close()

    def _look(self, by: Caller) -> list[tuple[int, bool]]:
        if by.pk not in self.there:
            rows = Note.objects.filter(owner=by.user).order_by("pk").values_list("pk", "trashed_at")
            self.there[by.pk] = [(pk, trashed_at is not None) for pk, trashed_at in rows]
        return self.there[by.pk]

    def _change(self, by: Caller, there: list[tuple[int, bool]], *, text: str) -> dict[str, Any]:
        (kind,) = self.random.choices(list(KINDS), list(KINDS.values()))
        in_trash = {"restore": {True}, "purge": {True, False}}.get(kind, {False})
        candidates = [pk for pk, is_trashed in there if is_trashed in in_trash]
        if kind == "create" or not candidates or (kind == "purge" and len(there) < FEWEST_NOTES):
            content = f"- [ ] {text}\n"
            note = notes.create_note(title=text, content=content, by=by, now=timezone.now())
            return {"kind": "create", "note": note.pk, "version": note.version}
        # The older ones more often, so that many writers want the same note.
        pk = candidates[int(self.random.random() ** 2 * len(candidates))]
        note, now = Note(pk=pk), timezone.now()
        match kind:
            case "update":
                changes = {"title": text, "content": f"- [ ] {text}\n{self.random.random()}\n"}
                note = notes.update_note(note=note, changes=changes, by=by, now=now)
            case "trash":
                note = notes.trash_note(note=note, by=by, now=now)
            case "restore":
                note = notes.restore_note(note=note, by=by, now=now)
                if note.state_credential != by.credential:  # it was not in the trash any more
                    return {"kind": ""}  # nothing was changed
            case "purge":
                notes.purge_note(note=note, by=by)
                return {"kind": kind, "note": pk, "version": None}
            case "append" | "prepend" | "toggle_task":
                edit = edits.Edit(kind, text=text, task=1)
                note = edits.edit_note(note=note, edit=edit, by=by, now=now)
        return {"kind": kind, "note": pk, "version": note.version}

    def _pause(self) -> None:
        if self.random.random() < self.load["how_often"]:
            time.sleep(self.random.uniform(0, self.load["delay"]))


def tell(change: dict[str, Any], outcome: str) -> None:
    """Print what became of a change."""
    with output:
        print(json.dumps({**change, "outcome": outcome}), flush=True)


def main(load: dict[str, Any]) -> None:
    """Write until each thread has made its changes."""
    logging.disable(logging.WARNING)
    writers = [Writer(load, f"{load['number']}.{i}") for i in range(load["threads"])]
    with ThreadPoolExecutor(len(writers)) as pool:
        for running in [pool.submit(writer.run) for writer in writers]:
            running.result()

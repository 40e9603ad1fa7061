"""The service beside a small model of it: whatever is done, both say the same."""

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from accounts.categories import is_within
from notes import merging
from notes.actions import sync
from notes.markdown import edits, tasks
from notes.models import Attachment, Change, Note, Revision
from tests.conftest import client_of, make_user
from tests.lengths import IS_FULL, length
from tests.notes.model import (
    TOLD,
    File,
    Notebook,
    State,
    digest,
    hashed,
    kept,
    listed,
    listed_by,
    merge,
    stamp,
)

pytestmark = pytest.mark.django_db
API = "/api/v1"
NOTES = f"{API}/notes"
# The same examples at every short run: a build fails for what was changed and not by chance. The
# full form draws others, and longer ones.
SETTINGS = settings(
    max_examples=length(short=50, full=750),
    stateful_step_count=length(short=30, full=50),
    derandomize=not IS_FULL,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
BEGINNING = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
EMPTY = {"content": "", "category": ""}
# Nobody here tags or flags: test_tags.py, test_flags.py, test_bulk.py.
FILED = {"tags": [], "is_favorite": False, "is_archived": False}


class Clock:
    """What the service takes for the time."""

    def __init__(self) -> None:
        self.now = BEGINNING

    def __call__(self) -> dt.datetime:
        return self.now


@dataclass
class Follower:
    """A client that keeps a copy by ``GET sync``."""

    cursor: str = ""
    copy: dict[int, dict[str, Any]] = field(default_factory=dict)


# What is drawn.

NUMBERS = st.integers(0, 3)  # of notes, in the order of their creation; see Machine.pick
TITLES = st.sampled_from(["", "t", "tt", "u"])
CATEGORIES = st.sampled_from(["", "Work", "Work/x", "Workshop"])
EDITS = st.sampled_from(["append", "prepend", "replace", "toggle_task"])
LINES = st.sampled_from(["- [ ] a\n", "b\n", "- [x] c\n", "d\n", "e"])
CONTENTS = st.lists(LINES, max_size=5).map("".join)
WHOLE = st.fixed_dictionaries(
    {"title": TITLES, "content": CONTENTS}, optional={"category": CATEGORIES}
)
PART = st.fixed_dictionaries({"category": CATEGORIES}) | st.fixed_dictionaries(
    {}, optional={"title": TITLES, "content": CONTENTS, "category": CATEGORIES}
)
SAVES = st.tuples(LINES, st.sampled_from(["", "", "a note", "a list", "the feed"]))
# Where in a text, how many of its lines go, what comes in their place.
REWRITES = st.tuples(st.integers(0, 5), st.integers(0, 2), st.lists(LINES, max_size=2))
# No precondition, any version, or the version so many before the current one; -1 is still to come.
MATCHES = st.sampled_from([None, None, None, 0, 0, 0, "*", 1, 2, -1])
BACK = st.sampled_from([1, 0, 2, 3])
PAGES = st.integers(1, 4)
PAUSES = st.sampled_from(
    [dt.timedelta(seconds=each) for each in (0, 1e-6, 1, 100, 300)] + [dt.timedelta(minutes=7)]
)
HOW_FAR = ["one page", "to the end", "to the end", "from the beginning"]
CLIENT_IDS = st.sampled_from(["x", "y", "z"])
# ``which`` is of the files that a note has; 3 may be any there ever was.
WORKS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(
            ["add", "add", "set main", "replace", "rename", "remove", "forget"]
        ),
        "which": st.integers(0, 3),
        "name": st.sampled_from(["f.txt", "g.txt"]),
        "body": st.sampled_from([b"", b"x", b"y"]),
        "match": MATCHES,
    }
)
OPERATIONS = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["create", "update", "update", "delete"]),
        "number": NUMBERS,
        "client_id": st.none() | CLIENT_IDS,
        "back": st.integers(0, 2),
        "fields": PART,
        "rewrite": st.none() | REWRITES,
    }
)

# The members that each edit has.
TAKEN = {
    "append": ("text",),
    "prepend": ("text",),
    "replace": ("old", "text"),
    "toggle_task": ("task",),
}
STRANGERS_BODIES = {
    "": {"title": "c", "content": "c"},
    "/title": {"title": "c"},
    "/edits": {"op": "append", "text": "c"},
    "/revisions/1": {"pinned": True},
}
REQUESTS = [
    *itertools.product(["get", "put", "patch", "delete"], [""]),
    ("put", "/title"),
    ("post", "/restore"),
    ("post", "/edits"),
    *itertools.product(["get", "put", "delete"], ["/file"]),
    ("get", "/revisions"),
    *itertools.product(["get", "patch"], ["/revisions/1"]),
    ("get", "/revisions/1/diff"),
    ("post", "/revisions/1/restore"),
]


def rewritten(text: str, rewrite: tuple[int, int, list[str]]) -> str:
    place, gone, come = rewrite
    lines = text.splitlines(keepends=True)
    return "".join(lines[:place] + come + lines[place + gone :])


def step(**drawn: Any) -> Callable[[Any], Any]:
    """Make a rule: one of alice's two sessions does something, some time after the last step."""

    def decorate(function: Any) -> Any:
        @wraps(function)
        def run(machine: "Machine", pause: dt.timedelta, by: int, **values: Any) -> None:
            machine.clock.now += pause
            machine.times.append(machine.clock.now)
            function(machine, by, **values)

        return rule(pause=PAUSES, by=st.sampled_from([0, 1]), **drawn)(run)

    return decorate


class Machine(RuleBasedStateMachine):
    """Alice with two sessions, carol, who may see nothing of it, and what should be."""

    def __init__(self, alice: list[Any], carol: Any, clock: Clock) -> None:
        super().__init__()
        self.savepoint = transaction.savepoint()
        self.alice, self.carol, self.clock = alice, carol, clock
        clock.now = BEGINNING
        self.times = [clock.now]
        self.notes: dict[int, Notebook] = {}
        self.ids: list[int] = []  # of all that were ever written
        self.file_ids: list[int] = []  # likewise
        self.client_ids: dict[str, int] = {}
        self.created: dict[int, dict[str, str]] = {}
        self.followers = [Follower(), Follower()]
        self.feed: dict[int, int] = {}  # as of the last step: the place of each note,
        self.versions: dict[int, int] = {}  # and its version

    def teardown(self) -> None:
        transaction.savepoint_rollback(self.savepoint)

    # Between the model and HTTP.

    def pick(self, number: int, *, trashed: bool = False) -> tuple[int, str, Notebook | None]:
        """Return a note's id, address and what should be; number 3 may be one that is gone."""
        there = [pk for pk, note in self.notes.items() if note.state.trashed_at] if trashed else []
        there = self.ids if number == 3 else there or list(self.notes) or self.ids
        pk = there[number % len(there)]
        return pk, f"{NOTES}/{pk}", self.notes.get(pk)

    def live(self) -> dict[int, Notebook]:
        return {pk: note for pk, note in self.notes.items() if not note.state.trashed_at}

    def shown(self, pk: int) -> dict[str, Any]:
        note = self.notes[pk]
        return {
            "id": pk,
            **note.state.told(),
            **FILED,
            **self.files_shown(note.state),
            "version": note.version,
            "created_at": stamp(note.created_at),
            "updated_at": stamp(note.updated_at),
            "trashed_at": stamp(note.state.trashed_at),
        }

    def files_shown(self, state: State) -> dict[str, Any]:
        main = next((file for file in state.files if file.is_main), None)
        return {
            "attachments": listed(state.files),
            "file": main and {"name": main.name, "sha256": main.sha256},
        }

    def is_shown(self, told: dict[str, Any], then: dict[str, Any] | None = None) -> int:
        """Check a note as it is told, or as it was ``then``, and return its id."""
        told = {name: value for name, value in told.items() if name != "merged"}
        told["attachments"] = listed_by(told["attachments"])
        if told["file"]:
            told["file"] = {name: told["file"][name] for name in ("name", "sha256")}
        assert told in (self.shown(told["id"]), then)
        return int(told["id"])

    def is_given(self, told: dict[str, Any], then: dict[str, Any] | None = None) -> int:
        """Check a note that somebody has read, and who may come back with it as a base."""
        pk = self.is_shown(told, then)
        self.notes[pk].given.add(told["version"])
        return pk

    def send(
        self,
        by: int,
        method: str,
        path: str,
        body: Any = None,
        match: int | str | None = None,
        **more: Any,
    ) -> Any:
        if match is not None:
            more["HTTP_IF_MATCH"] = "*" if match == "*" else f'"{match}"'
        more.setdefault("format", "json")
        return getattr(self.alice[by], method)(path, body, **more)

    def pages(
        self, path: str, limit: int, *, by: int = 0, **query: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield all entries of a list, so many a page."""
        while True:
            page = self.alice[by].get(path, {"limit": limit, **query})
            assert page.status_code == 200
            yield from page.json()["results"]
            if page.json()["next"] is None:
                return
            query["cursor"] = page.json()["next"]

    def is_refused(
        self, response: Any, pk: int, expected: int | str | None, *, even_trashed: bool = False
    ) -> bool:
        """Return whether a request about a note must be refused, and check that it was.

        ``expected`` is the version of ``If-Match``.
        """
        note = self.notes.get(pk)
        if note is None or (note.state.trashed_at and not even_trashed):
            assert response.status_code == 404
            return True
        if expected in (None, "*", note.version):
            return False
        assert (response.status_code, response.json()["code"]) == (412, "stale_version")
        self.is_current(response, pk)
        return True

    def is_current(self, response: Any, pk: int) -> None:
        assert self.is_given(response.json()["current"]) == pk

    def named(self, note: Notebook | None, match: int | str | None) -> int | str | None:
        """Return the version to send in ``If-Match``."""
        if isinstance(match, int):
            return note.version - match if note and note.version > match else 99
        return match

    def earlier(self, note: Notebook | None, back: int) -> int:
        """Return the version of the state so many before, or one that never was."""
        states = note.states[::-1] if note else []
        return states[back].version if back < len(states) else 99

    def write(
        self, response: Any, pk: int, by: int, changes: dict[str, Any], cause: str = "edit"
    ) -> bool:
        """Do in the model what a request did, check the answer and return if it did anything."""
        wrote = self.notes[pk].write(changes, by=by, cause=cause, now=self.clock.now)
        assert response.status_code == 200
        assert response.headers["ETag"] == f'"{self.notes[pk].version}"'
        self.is_shown(response.json())
        return wrote

    def add(self, pk: int, fields: dict[str, str], by: int, cause: str = "create") -> None:
        assert pk > max(self.ids, default=0)
        state = State(1, 1, self.clock.now, by, cause, **{**EMPTY, **fields})
        self.notes[pk] = Notebook([state], self.clock.now, self.clock.now)
        self.ids.append(pk)

    # What alice does.

    @initialize(fields=WHOLE)
    def begin(self, fields: dict[str, str]) -> None:
        self.create_note(0, fields)

    @step(fields=WHOLE)
    def create(self, by: int, fields: dict[str, str]) -> None:
        self.create_note(by, fields)

    def create_note(self, by: int, fields: dict[str, str]) -> None:
        response = self.send(by, "post", NOTES, fields)
        assert response.status_code == 201
        self.add(response.json()["id"], fields, by)
        self.is_shown(response.json())

    @step(number=NUMBERS, fields=st.none() | WHOLE | PART, match=MATCHES)
    def edit(self, by: int, number: int, fields: dict[str, str] | None, match: Any) -> None:
        """Send all, a part or, for None, what the note says anyway."""
        pk, url, note = self.pick(number)
        match = self.named(note, match)
        if fields is None:
            fields = note.state.told() if note else {}
        method = "put" if {"title", "content"} <= fields.keys() else "patch"
        response = self.send(by, method, url, fields, match)
        if not self.is_refused(response, pk, match):
            self.write(response, pk, by, fields)

    @step(number=NUMBERS, place=st.integers(0, 20), saves=st.lists(SAVES, min_size=1, max_size=3))
    def type_on(self, by: int, number: int, place: int, saves: list[tuple[str, str]]) -> None:
        """Save again and again while somebody types, and perhaps somebody reads."""
        pk, url, note = self.pick(number)
        for text, reading in saves:
            old = note.state.told() if note else {"title": "", "content": ""}
            content = old["content"][:place] + text + old["content"][place:]
            fields = {"content": content} if place else {"title": old["title"] + "t"}
            response = self.send(by, "patch", url, fields)
            if self.is_refused(response, pk, None):
                return
            self.write(response, pk, by, fields)
            if reading == "a note":
                self.is_given(self.alice[by].get(url).json())
            elif reading == "a list":
                self.read_list(by, is_trash=False, limit=4)
            elif reading == "the feed":
                self.take_page(by, 4)

    @step(number=NUMBERS, back=BACK, fields=PART, rewrite=st.none() | REWRITES)
    def merge(self, by: int, number: int, back: int, fields: dict[str, str], rewrite: Any) -> None:
        pk, url, note = self.pick(number)
        version = self.earlier(note, back)
        base = note.find(version) if note else None
        if rewrite and base:
            fields = {**fields, "content": rewritten(base.content, rewrite)}
        response = self.send(by, "patch", url, fields, version, HTTP_PREFER="merge")
        is_ahead = base is None and (note is None or version > note.version)
        if is_ahead or (base is not None and base.version == note.version):
            if not self.is_refused(response, pk, "*" if base else version):
                self.write(response, pk, by, fields)
            return
        if self.is_refused(response, pk, None):
            return
        try:
            changes = merge(base, note.state, fields)
        except merging.Overlap:
            problem = response.json()
            assert (response.status_code, problem["code"]) == (409, "merge_conflict")
            state = base and {**base.told(), "tags": []}
            assert (problem["base"], problem["yours"]) == (state, fields)
            self.is_current(response, pk)
        else:
            assert response.json()["merged"] is True
            self.write(response, pk, by, changes, "merge")

    @step(number=NUMBERS, op=EDITS, text=CONTENTS, old=LINES, task=st.integers(1, 2), match=MATCHES)
    def edit_a_place(
        self, by: int, number: int, op: str, text: str, old: str, task: int, match: Any
    ) -> None:
        pk, url, note = self.pick(number)
        match = self.named(note, match)
        members = {"text": text, "old": old, "task": task}
        body = {"op": op, **{name: members[name] for name in TAKEN[op]}}
        response = self.send(by, "post", f"{url}/edits", body, match)
        if self.is_refused(response, pk, match):
            return
        content = note.state.content
        try:
            content = {
                "append": lambda: edits.append(content, text),
                "prepend": lambda: edits.prepend(content, text),
                "replace": lambda: edits.replace_once(content, old, text),
                "toggle_task": lambda: tasks.toggle_task(content, task),
            }[op]()
        except (edits.NotExactlyOnce, tasks.NoSuchTask) as error:
            count = error.count
        else:
            self.write(response, pk, by, {"content": content}, op)
            return
        assert (response.status_code, response.json()["count"]) == (409, count)

    @step(number=NUMBERS, works=st.lists(WORKS, min_size=1, max_size=3))
    def work_on_files(self, by: int, number: int, works: list[dict[str, Any]]) -> None:
        """Add, replace, rename and remove files of a note, one after another."""
        for work in works:
            pk, url, note = self.pick(number)
            there = [file.id for file in note.state.files] if note and work["which"] != 3 else []
            there = there or self.file_ids or [99]
            self.work_on_file(
                by,
                url,
                (pk, note),
                work["kind"],
                File(there[work["which"] % len(there)], work["name"], hashed(work["body"])),
                work["body"],
                self.named(note, work["match"]),
            )

    def work_on_file(
        self,
        by: int,
        url: str,
        target: tuple[int, Notebook | None],
        kind: str,
        file: File,
        body: bytes,
        match: Any,
    ) -> None:
        """Do one thing to a note's files; ``file`` is one of them, as it shall be."""
        pk, note = target
        address = f"{url}/attachments/{file.id}"
        before = note.state.find(file.id) if note else None
        if kind == "add":
            response = self.upload(by, "post", f"{url}/attachments", file.name, body, match)
        elif kind == "set main":
            response = self.upload(by, "put", f"{url}/file", file.name, body, match)
            before = (
                next((each for each in note.state.files if each.is_main), None) if note else None
            )
        elif kind == "replace":
            response = self.upload(by, "put", address, file.name, body, match)
        elif kind == "rename":
            response = self.send(by, "patch", address, {"name": file.name}, match)
        else:
            for_good = "?permanent=true" if kind == "forget" else ""
            response = self.send(by, "delete", address + for_good, None, match)
        if before is None and kind in ("replace", "rename", "remove"):
            assert response.status_code == 404
            return
        if self.is_refused(response, pk, match):
            return
        if kind == "forget":
            assert response.status_code == (204 if note.forget(file.id, self.clock.now) else 404)
            return
        if kind == "remove":
            files = note.state.without(file.id)
            assert response.status_code == 204
        else:
            is_new = kind == "add" or before is None
            file_id = kept(Note.objects.get(pk=pk).files)[-1].id if is_new else before.id
            if is_new:
                assert file_id > max(self.file_ids, default=0)
                self.file_ids.append(file_id)
            file = File(
                file_id,
                file.name,
                before.sha256 if kind == "rename" else file.sha256,
                is_main=kind == "set main" or (not is_new and before.is_main),
            )
            files = note.state.with_file(file)
            assert response.status_code == (201 if kind == "add" else 200)
            told = response.json()
            assert (told["name"], told["sha256"]) == (file.name, file.sha256)
        note.write({"files": files}, by=by, cause="file", now=self.clock.now)
        assert response.headers["ETag"] == f'"{note.version}"'

    def upload(self, by: int, method: str, url: str, name: str, body: bytes, match: Any) -> Any:
        form = {"file": SimpleUploadedFile(name, body)}
        return self.send(by, method, url, form, match, format="multipart")

    @step(number=NUMBERS, is_permanent=st.sampled_from([False, False, True]), match=MATCHES)
    def delete(self, by: int, number: int, is_permanent: bool, match: Any) -> None:
        pk, url, note = self.pick(number)
        match = self.named(note, match)
        path = f"{url}?permanent=true" if is_permanent else url
        response = self.send(by, "delete", path, None, match)
        if self.is_refused(response, pk, match, even_trashed=is_permanent):
            return
        assert response.status_code == 204
        if is_permanent:
            del self.notes[pk]
        else:
            now = self.clock.now
            note.write({"trashed_at": now}, by=by, cause="trash", now=now)

    @step(number=NUMBERS, match=MATCHES)
    def restore(self, by: int, number: int, match: Any) -> None:
        pk, url, note = self.pick(number, trashed=True)
        match = self.named(note, match)
        response = self.send(by, "post", f"{url}/restore", None, match)
        if not self.is_refused(response, pk, match, even_trashed=True):
            was_trashed = note.state.trashed_at is not None
            assert self.write(response, pk, by, {"trashed_at": None}, "untrash") == was_trashed

    @step(number=NUMBERS, back=BACK, match=MATCHES)
    def restore_revision(self, by: int, number: int, back: int, match: Any) -> None:
        pk, url, note = self.pick(number)
        version, match = self.earlier(note, back), self.named(note, match)
        response = self.send(by, "post", f"{url}/revisions/{version}/restore", None, match)
        state = note.find(version) if note else None
        if note and not note.state.trashed_at and state is None:
            assert response.status_code == 404
        elif not self.is_refused(response, pk, match):
            names = ("title", "content", "category", "files")
            changes = {name: getattr(state, name) for name in names}
            self.write(response, pk, by, changes, "restore")

    @step(time=st.integers(0, 40), beside=st.integers(-1, 1), category=st.just("") | CATEGORIES)
    def rewind(self, by: int, time: int, beside: int, category: str) -> None:
        to, now = self.time(time, beside), self.clock.now
        expected, targets = [], {}
        for pk, note in sorted(self.notes.items()):
            now_says, then = note.state, note.at(to)
            lay = (then or now_says).category
            if not any(is_within(each, category) for each in (now_says.category, lay)):
                continue
            target = {**then.told(), "files": then.files} if then else {}
            is_live = then is not None and then.trashed_at is None
            target["trashed_at"] = None if is_live else now_says.trashed_at or now
            if all(getattr(now_says, name) == value for name, value in target.items()):
                continue
            effect = "restore" if is_live else "trash"
            if is_live == (now_says.trashed_at is None):
                effect = "update"
            title, version = (then.title, then.version) if then else (now_says.title, None)
            expected.append({"id": pk, "title": title, "effect": effect, "version": version})
            targets[pk] = target
        body = {"to": to.isoformat(), "category": category}
        for is_dry in (True, False):
            answer = self.send(by, "post", f"{API}/rewind", {**body, "dry_run": is_dry})
            assert answer.status_code == 200
            assert answer.json() == {"changes": expected, "next": None, "dry_run": is_dry}
            if is_dry:
                self.the_tables_say_the_same()
        for pk, target in targets.items():
            assert self.notes[pk].write(target, by=by, cause="rewind", now=now)

    def time(self, number: int, beside: int) -> dt.datetime:
        """Return a moment in which something was done, or the one before or after it."""
        time = self.times[number % len(self.times)] + dt.timedelta(microseconds=beside)
        return min(time, self.clock.now)

    # What alice's clients send.

    @step(
        operations=st.lists(OPERATIONS, min_size=1, max_size=4),
        prefers_merge=st.booleans(),
        again=st.booleans(),
    )
    def send_changes(
        self, by: int, operations: list[dict[str, Any]], prefers_merge: bool, again: bool
    ) -> None:
        entries = [self.entry(operation) for operation in operations]
        more = {"HTTP_PREFER": "merge"} if prefers_merge else {}
        for _ in range(1 + again):
            response = self.send(by, "post", f"{API}/sync", {"changes": entries}, **more)
            assert response.status_code == 200
            results, expected = response.json()["results"], []
            for entry, result in zip(entries, results, strict=True):
                outcome = self.apply(entry, result.get("id"), by, prefers_merge)
                if "client_id" in entry:
                    outcome["client_id"] = entry["client_id"]
                if outcome.get("deleted") is False:
                    outcome["version"] = self.notes[outcome["id"]].version
                expected.append(outcome)
            for result, outcome in zip(results, expected, strict=True):
                # A note that is shown is so as it is after all of the batch.
                outcome["has_note"] &= outcome.get("id") in self.live()
                if outcome["has_note"]:
                    assert self.is_given(result["note"]) == outcome["id"]
                    outcome["version"] = self.notes[outcome["id"]].version
                told = {name: result[name] for name in result if name in outcome}
                told["code"] = result.get("problem", {}).get("code")
                told["has_note"] = "note" in result
                assert told == outcome

    def entry(self, operation: dict[str, Any]) -> dict[str, Any]:
        """Return an operation as it is sent."""
        op, client_id, fields = (operation[name] for name in ("op", "client_id", "fields"))
        name = {"client_id": client_id} if client_id else {}
        if op == "create":
            return {"op": op, "title": "", **fields, **name}
        pk = self.client_ids.get(client_id) if client_id else self.pick(operation["number"])[0]
        note = self.notes.get(pk)
        version = self.earlier(note, operation["back"])
        base = note.find(version) if note else None
        if operation["rewrite"] and base:
            fields = {**fields, "content": rewritten(base.content, operation["rewrite"])}
        name = name or {"id": pk}
        return {"op": op, **name, "base_version": version, **(fields if op == "update" else {})}

    def apply(
        self, entry: dict[str, Any], new_id: int | None, by: int, prefers_merge: bool
    ) -> dict[str, Any]:
        """Do in the model what an entry asks for and return what to expect as its result."""
        pk = entry.get("id") or self.client_ids.get(entry.get("client_id"))
        note = self.live().get(pk)
        fields = {name: entry[name] for name in TOLD if name in entry}

        def outcome(
            status: str, code: str | None = None, *, has_note: bool = False, **more: Any
        ) -> Any:
            if status != "refused":
                more |= {"id": pk, "deleted": pk not in self.live()}
            return {"status": status, "code": code, "has_note": has_note, **more}

        if entry["op"] == "create":
            if pk is not None and self.created[pk] != {**EMPTY, **fields}:
                return outcome("refused", "client_id_used")
            if pk is not None:
                return outcome("applied", has_note=note is not None and note.version > 1)
            pk = new_id
            self.add(pk, fields, by, "sync")
            if "client_id" in entry:
                self.client_ids[entry["client_id"]] = pk
                self.created[pk] = {**EMPTY, **fields}
            return outcome("applied")
        if pk is None:
            return outcome("refused", "not_found")
        now, version = self.clock.now, entry["base_version"]
        if entry["op"] == "delete":
            if note and version != note.version:
                return outcome("conflict", "stale_version", has_note=True)
            if note:
                note.write({"trashed_at": now}, by=by, cause="trash", now=now)
            return outcome("applied")
        if note is None:
            return outcome("conflict", "deleted")
        base, cause, merged, problem = note.find(version), "sync", {}, None
        is_stale = base is None and version > note.version
        if is_stale if prefers_merge else version != note.version:
            problem = "stale_version"
        elif base != note.state:
            cause, merged = "merge", {"merged": True}
            try:
                fields = merge(base, note.state, fields)
            except merging.Overlap:
                problem = "merge_conflict"
        if problem is None:
            note.write(fields, by=by, cause=cause, now=now)
            return outcome("applied", has_note=bool(merged), **merged)
        for state in (note.state, note.find(version + 1)):
            if state and all(getattr(state, name) == fields[name] for name in fields):
                return outcome("applied", has_note=True)  # sent before
        return outcome("conflict", problem, has_note=True)

    @rule(which=st.sampled_from([0, 1]), limit=PAGES, how=st.sampled_from(HOW_FAR))
    def follow(self, which: int, limit: int, how: str) -> None:
        """Take a page of the feed, or all there is, perhaps after having lost everything."""
        if how == "from the beginning":
            self.followers[which] = Follower()
        has_more = self.take_page(which, limit)
        if how == "one page":
            return
        while has_more:
            has_more = self.take_page(which, limit)
        copy = self.followers[which].copy
        assert copy == {pk: self.shown(pk) for pk in self.live()}
        answer = self.alice[which].get(f"{API}/sync/digest").json()
        assert answer["digest"] == digest({pk: note["version"] for pk, note in copy.items()})
        assert answer["notes"] == len(copy)
        page = self.alice[which].get(f"{API}/sync", {"cursor": answer["cursor"]}).json()
        assert page["changes"] == []

    def take_page(self, which: int, limit: int) -> bool:
        """Bring a follower's copy on by one page and return whether there are more."""
        follower = self.followers[which]
        query = {"limit": limit, **({"cursor": follower.cursor} if follower.cursor else {})}
        page = self.alice[which].get(f"{API}/sync", query)
        assert page.status_code == 200
        changes = page.json()["changes"]
        numbers = [change["seq"] for change in changes]
        assert numbers == sorted(set(numbers))
        assert len({change["id"] for change in changes}) == len(changes) <= limit
        names = {pk: name for name, pk in self.client_ids.items()}
        for change in changes:
            pk = change["id"]
            assert change.get("client_id") == names.get(pk)
            assert change["deleted"] == (pk not in self.live())
            if change["deleted"]:
                follower.copy.pop(pk, None)
            else:
                assert self.is_given(change["note"]) == pk
                follower.copy[pk] = self.shown(pk)
        follower.cursor = page.json()["cursor"]
        return bool(page.json()["has_more"])

    # What alice reads.

    @invariant()
    def the_tables_say_the_same(self) -> None:
        names = (*TOLD, "version", "created_at", "updated_at", "trashed_at")
        assert {row["pk"]: row for row in Note.objects.values("pk", *names)} == {
            pk: {
                "pk": pk,
                **note.state.told(),
                "version": note.version,
                "created_at": note.created_at,
                "updated_at": note.updated_at,
                "trashed_at": note.state.trashed_at,
            }
            for pk, note in self.notes.items()
        }
        files = {pk: note.state.files for pk, note in self.notes.items()}
        assert {pk: kept(text) for pk, text in Note.objects.values_list("pk", "files")} == files
        held = Attachment.objects.order_by("pk").values_list("note", "pk", "object__sha256")
        assert list(held) == sorted(
            ((pk, file.id, file.sha256) for pk in files for file in files[pk]),
            key=lambda each: each[1],
        )
        revisions = Revision.objects.order_by("note", "version").values_list("files", flat=True)
        assert [kept(text) for text in revisions] == [
            state.files for _, note in sorted(self.notes.items()) for state in note.states[:-1]
        ]
        columns = ("first_version", "version", "since", "replaced_at", "cause", *TOLD, "trashed_at")
        assert list(Revision.objects.order_by("note", "version").values_list("note", *columns)) == [
            (
                pk,
                old.first,
                old.version,
                old.since,
                new.since,
                old.cause,
                *old.told().values(),
                old.trashed_at,
            )
            for pk, note in sorted(self.notes.items())
            for old, new in itertools.pairwise(note.states)
        ]

    @invariant()
    def the_feed_tells_what_has_changed(self) -> None:
        before, self.feed = self.feed, dict(Change.objects.values_list("note", "seq"))
        moved = {pk for pk, seq in self.feed.items() if seq > before.get(pk, 0)}
        known, self.versions = self.versions, {pk: n.version for pk, n in self.notes.items()}
        ever = known.keys() | self.versions.keys()
        assert moved == {pk for pk in ever if known.get(pk) != self.versions.get(pk)}

    @rule(number=NUMBERS, by=st.sampled_from([0, 1]), back=st.none() | st.integers(0, 1))
    def read(self, number: int, by: int, back: int | None) -> None:
        pk, url, note = self.pick(number)
        more = {} if back is None else {"HTTP_IF_NONE_MATCH": f'"{self.named(note, back)}"'}
        response = self.alice[by].get(url, **more)
        if pk not in self.live():
            assert response.status_code == 404
        elif back == 0:
            assert (response.status_code, response.content) == (304, b"")
        else:
            assert self.is_given(response.json()) == pk

    @rule(by=st.sampled_from([0, 1]), is_trash=st.booleans(), limit=PAGES)
    def read_list(self, by: int, is_trash: bool, limit: int) -> None:
        expected = [
            (note.updated_at, pk)
            for pk, note in self.notes.items()
            if (note.state.trashed_at is not None) == is_trash
        ]
        told = [self.is_given(entry) for entry in self.pages(NOTES, limit, by=by, trashed=is_trash)]
        assert told == [pk for _, pk in sorted(expected, reverse=True)]

    @rule(time=st.integers(0, 40), beside=st.integers(-1, 1), limit=PAGES)
    def read_the_past(self, time: int, beside: int, limit: int) -> None:
        to = self.time(time, beside)
        past = [(note.created_at, pk, note.at(to)) for pk, note in self.notes.items()]
        expected = [
            {
                "id": pk,
                **then.told(),
                "attachments": listed(then.files),
                "version": then.version,
                "trashed_at": None,
            }
            for _, pk, then in sorted(past, key=lambda each: each[:2], reverse=True)
            if then and not then.trashed_at
        ]
        told = [
            {name: entry[name] for name in ("id", *TOLD, "version", "trashed_at")}
            | {"attachments": listed_by(entry["attachments"])}
            for entry in self.pages(NOTES, limit, as_of=stamp(to))
        ]
        assert told == expected
        for entry in told:  # even of a note that said something else then
            self.notes[entry["id"]].given.add(self.notes[entry["id"]].version)

    @rule(number=NUMBERS, limit=PAGES)
    def read_history(self, number: int, limit: int) -> None:
        _, url, note = self.pick(number)
        if note is None:
            assert self.alice[0].get(f"{url}/revisions").status_code == 404
            return
        ranges = [(r["first_version"], r["version"]) for r in self.pages(f"{url}/revisions", limit)]
        assert ranges == [(state.first, state.version) for state in note.states[-2::-1]]
        assert all(new[0] > old[1] for new, old in itertools.pairwise(ranges))
        for version in range(1, note.version + 2):
            response = self.alice[0].get(f"{url}/revisions/{version}")
            state = note.find(version)
            if state is None:
                assert response.status_code == 404
                assert version not in note.given
                continue
            told = response.json()
            assert {name: told[name] for name in TOLD} == state.told()
            assert told["trashed_at"] == stamp(state.trashed_at)
            assert listed_by(told["attachments"]) == listed(state.files)
        note.given.add(note.version)

    # What carol sees of it.

    @rule(number=NUMBERS, request=st.sampled_from(REQUESTS))
    def be_a_stranger(self, number: int, request: tuple[str, str]) -> None:
        method, path = request
        _, url, _ = self.pick(number)
        body = STRANGERS_BODIES.get(path) if method not in ("get", "delete") else None
        answer = getattr(self.carol, method)(f"{url}{path}", body, format="json")
        assert answer.status_code == 404

    @rule(
        path=st.sampled_from(["/notes", "/notes?trashed=true", "/sync", "/sync/digest", "/rewind"])
    )
    def have_nothing(self, path: str) -> None:
        if path == "/rewind":
            body = {"to": stamp(BEGINNING)}
            answer = self.carol.post(f"{API}{path}", body, format="json").json()
        else:
            answer = self.carol.get(f"{API}{path}").json()
        assert answer.get("digest", digest({})) == digest({})
        assert not any(answer.get(name) for name in ("notes", "results", "changes"))


@pytest.mark.long
def test_the_service_and_the_model_are_always_equal(monkeypatch, settings):
    settings.REQUEST_LOG = False
    alice, carol = make_user("alice"), client_of(make_user("carol"))
    sessions = [client_of(alice), client_of(alice)]
    clock = Clock()
    monkeypatch.setattr(timezone, "now", clock)  # after the sessions: their tokens are good now
    monkeypatch.setattr(sync, "MERGING_SECONDS", 3600.0)  # whatever else the machine does
    run_state_machine_as_test(lambda: Machine(sessions, carol, clock), settings=SETTINGS)

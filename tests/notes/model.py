"""What a note and its history should be: the model that the service is held against."""

import dataclasses
import datetime as dt
import hashlib
from dataclasses import dataclass, field
from typing import Any

from notes import merging
from notes.models import attachments

TOLD = ("title", "content", "category")


@dataclass(frozen=True)
class File:
    """A file of a note."""

    id: int
    name: str
    sha256: str
    is_main: bool = False


@dataclass(frozen=True)
class State:
    """What a note says from one version to another, and how it came to."""

    first: int
    version: int
    since: dt.datetime
    by: int
    cause: str
    title: str
    content: str
    category: str
    files: tuple[File, ...] = ()
    trashed_at: dt.datetime | None = None

    def told(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in TOLD}

    def find(self, file_id: int) -> File | None:
        return next((file for file in self.files if file.id == file_id), None)

    def with_file(self, file: File) -> tuple[File, ...]:
        """Return the files with one in the place of that with its id, or at the end."""
        if self.find(file.id) is None:
            return (*self.files, file)
        return tuple(file if each.id == file.id else each for each in self.files)

    def without(self, file_id: int) -> tuple[File, ...]:
        return tuple(file for file in self.files if file.id != file_id)


@dataclass
class Notebook:
    """A note: every state that is kept, the last of which it is in."""

    states: list[State]
    created_at: dt.datetime
    updated_at: dt.datetime
    given: set[int] = field(default_factory=set)  # the versions that somebody was given

    @property
    def state(self) -> State:
        return self.states[-1]

    @property
    def version(self) -> int:
        return self.state.version

    def find(self, version: int) -> State | None:
        return next((s for s in self.states if s.first <= version <= s.version), None)

    def at(self, time: dt.datetime) -> State | None:
        """Return the state at a time, None if the note was not yet written."""
        if self.created_at > time:
            return None
        return [state for state in self.states if state.since <= time][-1]

    def write(self, changes: dict[str, Any], *, by: int, cause: str, now: dt.datetime) -> bool:
        old, version = self.state, self.version + 1
        new = dataclasses.replace(
            old, **changes, first=version, version=version, since=now, by=by, cause=cause
        )
        if all(getattr(old, name) == getattr(new, name) for name in (*TOLD, "files", "trashed_at")):
            if by != old.by:  # whoever changes nothing is told what somebody else wrote
                self.given.add(self.version)
            return False
        if self.goes_on(old, new):
            self.states[-1] = dataclasses.replace(new, since=old.since)
        else:
            self.states.append(new)
        self.updated_at = now
        return True

    def forget(self, file_id: int, now: dt.datetime) -> bool:
        """Take a file out of all states; return whether one of them had it."""
        found = any(state.find(file_id) for state in self.states)
        if found:
            self.states = [
                dataclasses.replace(state, files=state.without(file_id)) for state in self.states
            ]
            self.states[-1] = dataclasses.replace(self.state, version=self.version + 1)
            self.updated_at = now
        return found

    def goes_on(self, old: State, new: State) -> bool:
        """Return whether nobody would miss the old state."""
        return (
            old.by == new.by
            and (old.cause, new.cause) in (("create", "edit"), ("edit", "edit"), ("file", "file"))
            and not any(old.first <= version <= old.version for version in self.given)
            and new.since - old.since <= dt.timedelta(minutes=5)
            and (old.category, old.trashed_at) == (new.category, new.trashed_at)
            and inserts(old.title, new.title)
            and inserts(old.content, new.content)
            and set(old.files) <= set(new.files)
        )


def inserts(old: str, new: str) -> bool:
    """Return whether one text is another with something put in at one place."""
    return any(
        new == old[:place] + new[place : place + len(new) - len(old)] + old[place:]
        for place in range(len(old) + 1)
    )


def merge(base: State | None, current: State, yours: dict[str, str]) -> dict[str, str]:
    """Return what a change of an earlier state makes of the current one, by the merge's rules.

    Without the earlier state nobody knows, unless there is nothing to be changed.
    """
    if base is None:
        if any(getattr(current, name) != value for name, value in yours.items()):
            raise merging.Overlap
        return {}
    return {
        name: (merging.merge if name == "content" else merging.merge_value)(
            base=getattr(base, name), yours=value, current=getattr(current, name)
        )
        for name, value in yours.items()
    }


def kept(files: str) -> tuple[File, ...]:
    """Return the files that a row keeps."""
    return tuple(
        File(file.id, file.name, file.sha256, file.is_main) for file in attachments.split(files)
    )


def listed(files: tuple[File, ...]) -> list[tuple[int, str, str]]:
    """Return files as lists of them tell."""
    return [(file.id, file.name, file.sha256) for file in files]


def listed_by(told: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    return [(file["id"], file["name"], file["sha256"]) for file in told]


def digest(versions: dict[int, int]) -> str:
    lines = [f"{pk}:{version}\n" for pk, version in sorted(versions.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def hashed(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def stamp(time: dt.datetime | None) -> str | None:
    return time and time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

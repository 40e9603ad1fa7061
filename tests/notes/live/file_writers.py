"""Clients that change the files of notes while processes die, and what must hold in the end.

Each client but those who share a note has a note of its own and sends every request until it is
answered, so in the end it knows exactly which files the note has. :func:`audit` compares that with
what lies in the database and in the bucket, past all code of ours.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any

import requests
from PIL import Image

from tests.servers import ROOT, S3Server, Server, wait_for

# What a server has to be started with: a large file has to fit, and the worker is a process of its
# own, which is killed too, so that nobody sweeps while the rest is looked at.
SETTINGS = {"MAX_FILE_BYTES": str(64 * 2**20), "RATE_LIMITS": "off", "RUN_WORKER": "0"}
SHARING = 2  # clients that add to one note
MOST_FILES = 40  # of a client's own note: the rest has to be removed
KIB, MIB = 2**10, 2**20
# Sizes in bytes and how often they are drawn; above 8 MiB a file goes to S3 in parts, above 16 MiB
# a client has to send it in parts itself.
SIZES = {
    (0, 0): 3,
    (1, 16 * KIB): 72,
    (16 * KIB, 512 * KIB): 18,
    (MIB, 4 * MIB): 4,
    (12 * MIB,) * 2: 3,
}
EQUAL = 0.25  # of the files have bytes that others have too
DIRECT_IN_PARTS = 0.03
STALE = 0.1  # of the replacements name a version that is not the current one
LEFT = 0.1  # of the direct uploads are never completed, and as many are given up
OPERATIONS = {
    "add": 34,
    "replace": 22,
    "remove": 12,
    "remove_for_good": 8,
    "set_main": 10,
    "send": 14,
}
MOST_TRIES = 500
TIMEOUT_SECONDS = 120
LONGEST_PAUSE_SECONDS = 0.1  # before a request is sent again
WORKER_DIES_EVERY = 10  # kills of web processes
DJANGO = """
import datetime as dt
import django
django.setup()
from django.db.models import F
from notes.models import StoredObject, Upload
"""
# A process that dies while it completes an upload holds up the next one for a minute.
CLAIMS_END = DJANGO + "Upload.objects.update(claimed_until=None)"
DAYS_PASS = (
    DJANGO
    + """
Upload.objects.update(expires_at=F("expires_at") - dt.timedelta(days=2), claimed_until=None)
StoredObject.objects.update(created_at=F("created_at") - dt.timedelta(days=2))
"""
)
# What S3 says of the age of an object cannot be shifted.
RECONCILE = "reconcile_storage --grace 0"


@dataclasses.dataclass(frozen=True)
class Sent:
    """A file as a client knows it. Names are never used twice."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, name: str, body: bytes) -> "Sent":
        return cls(name, len(body), hashlib.sha256(body).hexdigest())


def picture(chosen: random.Random) -> bytes:
    file = io.BytesIO()
    side = chosen.randint(100, 400)
    Image.frombytes("L", (side, side), chosen.randbytes(side * side)).save(file, "PNG")
    return file.getvalue()


def _common() -> list[bytes]:
    """Return what several files consist of: nothing, texts, pictures, and more than one part."""
    chosen = random.Random(0)
    texts = [chosen.randbytes(size) for size in (1, 100, 5000, 70_000, 12 * MIB)]
    return [b"", *texts, picture(chosen), picture(chosen)]


COMMON = _common()


def new_account(server: Server) -> str:
    """Return an access token of a new account."""
    body = {"email": f"{secrets.token_hex(6)}@example.org", "password": secrets.token_hex(12)}
    answer = requests.post(f"{server.api}/auth/register", json=body, timeout=TIMEOUT_SECONDS)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


class Load:
    """What clients know: one server, some accounts, and what was acknowledged."""

    def __init__(self, server: Server, *, accounts: int = 2) -> None:
        self.server, self.stopped = server, threading.Event()
        self.changed = threading.Condition()
        self.accounts = [new_account(server) for _ in range(accounts)]
        self.acknowledged = self.retries = 0
        self.failed: BaseException | None = None
        self.expected: dict[int, dict[int, Sent]] = {}  # files by id, of each note
        self.posted: dict[str, int] = {}  # the id of what was added, by its name
        self.gone_for_good: set[tuple[int, int]] = set()  # note and file
        self.sharing = threading.Lock()
        self.shared = self.new_note(Connection(self, 0))

    def new_note(self, connection: "Connection") -> int:
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        answer = connection.send("POST", "notes", {201}, json={"title": "t"}, headers=headers)
        note = int(answer.json()["id"])
        with self.changed:
            self.expected[note] = {}
        return note

    def acknowledge(self, *, posted: tuple[str, int] | None = None) -> None:
        with self.changed:
            self.acknowledged += 1
            if posted:
                assert self.posted.setdefault(*posted) == posted[1]
            self.changed.notify_all()

    def fail(self, error: BaseException) -> None:
        with self.changed:
            self.failed = self.failed or error
            self.changed.notify_all()

    def wait_for(self, number: int) -> None:
        """Return when so many operations were acknowledged. Raises what a client has raised."""
        with self.changed:
            is_there = self.changed.wait_for(
                lambda: self.failed or self.acknowledged >= number, timeout=2 * TIMEOUT_SECONDS
            )
        if self.failed:
            raise self.failed
        assert is_there, f"{self.acknowledged} of {number} operations in {2 * TIMEOUT_SECONDS} s"


class Connection:
    """One client's connection, on which every request is sent until it is answered."""

    def __init__(self, load: Load, account: int) -> None:
        self.load, self.client, self.retries = load, requests.Session(), 0
        self.headers = {"Authorization": f"Bearer {load.accounts[account]}"}

    def try_once(
        self, method: str, path: str, statuses: Collection[int], **options: Any
    ) -> requests.Response | None:
        """Return the answer, None if there is none: then nobody knows what was done."""
        url = f"{self.load.server.api}/{path}"
        headers = self.headers | options.pop("headers", {})
        try:
            answer = self.client.request(
                method, url, headers=headers, timeout=TIMEOUT_SECONDS, **options
            )
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            return None
        if answer.status_code == 503 or is_busy(answer):
            return None
        said = f"{method} {path}: {answer.status_code} {answer.text[:1000]}"
        assert answer.status_code in statuses, said
        return answer

    def send(
        self, method: str, path: str, statuses: Collection[int], **options: Any
    ) -> requests.Response:
        """Return the answer, however often the request has to be sent."""
        for _ in range(MOST_TRIES):
            answer = self.try_once(method, path, statuses, **options)
            if answer is not None:
                return answer
            self.pause()
        raise AssertionError(f"{method} {path} had no answer in {MOST_TRIES} tries")

    def pause(self) -> None:
        """Wait a little before a request is sent again."""
        self.retries += 1
        with self.load.changed:
            self.load.retries += 1
        time.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))


def is_busy(answer: requests.Response) -> bool:
    """Return whether somebody else, perhaps a dead process, is at the same request."""
    return answer.status_code == 409 and answer.json()["code"] == "request_in_progress"


class Client:
    """Changes the files of a note that nobody else changes."""

    def __init__(self, load: Load, number: int) -> None:
        self.load, self.random = load, random.Random(number)
        self.account = number % len(load.accounts)
        self.connection = Connection(load, self.account)
        self.number, self.count = number, 0
        self.version: str | None = None
        self.main: int | None = None
        self.unsure: list[tuple[str, Sent]] = []  # uploads whose completion is held up
        self.note = self.find_note()

    def find_note(self) -> int:
        return self.load.new_note(self.connection)

    @property
    def files(self) -> dict[int, Sent]:
        """What the note has now, by id."""
        return self.load.expected[self.note]

    @property
    def path(self) -> str:
        return f"notes/{self.note}/attachments"

    def run(self) -> None:
        try:
            while not self.load.stopped.is_set():
                self.step()
        except BaseException as error:
            self.load.fail(error)
            raise

    def finish(self) -> None:
        """Complete what a dead process holds up no longer."""
        for path, sent in self.unsure:
            self.complete(path, sent)
        self.unsure = []

    def step(self) -> None:
        kind = self.random.choices(list(OPERATIONS), list(OPERATIONS.values()))[0]
        if len(self.files) >= MOST_FILES:
            kind = self.random.choice(["remove", "remove_for_good"])
        if kind in ("replace", "remove", "remove_for_good") and not self.files:
            kind = "add"
        getattr(self, kind)()

    def new_file(self) -> tuple[Sent, bytes]:
        self.count += 1
        name = f"{self.number}-{self.count}-{secrets.token_hex(4)}"
        if self.random.random() < EQUAL:
            body = self.random.choice(COMMON)
        elif self.random.random() < 0.05:
            body = picture(self.random)
        else:
            least, most = self.random.choices(list(SIZES), list(SIZES.values()))[0]
            body = self.random.randbytes(self.random.randint(least, most))
        return Sent.of(name, body), body

    def add(self) -> None:
        sent, body = self.new_file()
        answer = self.connection.send(
            "POST", self.path, {201}, files={"file": (sent.name, body)},
            headers={"Idempotency-Key": secrets.token_hex(16)},
        )  # fmt: skip
        self.keep(answer, sent)

    def keep(self, answer: requests.Response, sent: Sent) -> None:
        """Know of a file that the answer to a POST tells of."""
        told = answer.json()
        self.check(told, sent)
        self.files[told["id"]] = sent
        self.version = answer.headers.get("ETag")
        self.load.acknowledge(posted=(sent.name, told["id"]))

    def check(self, told: dict[str, Any], sent: Sent) -> None:
        assert Sent(told["name"], told["size"], told["sha256"]) == sent

    def replace(self) -> None:
        """Replace a file under If-Match; whoever is refused reads the note and tries again."""
        pk, (sent, body) = self.random.choice(list(self.files)), self.new_file()
        if self.random.random() < STALE:
            self.version = '"1"'
        while True:
            version = self.version or self.read()["tag"]
            answer = self.connection.send(
                "PUT", f"{self.path}/{pk}", {200, 412}, files={"file": (sent.name, body)},
                headers={"If-Match": version},
            )  # fmt: skip
            if answer.status_code == 200:
                self.check(answer.json(), sent)
                self.version = answer.headers["ETag"]
                break
            note = self.read()
            (there,) = [file for file in note["attachments"] if file["id"] == pk]
            if there["name"] == sent.name:  # it was done, and the answer lost
                self.check(there, sent)
                break
        self.files[pk] = sent
        self.load.acknowledge()

    def read(self) -> dict[str, Any]:
        """Return the note, which has the files that it must have, but for one under way."""
        answer = self.connection.send("GET", f"notes/{self.note}", {200})
        self.version = answer.headers["ETag"]
        return {**answer.json(), "tag": self.version}

    def remove(self, *, for_good: bool = False) -> None:
        pk = self.random.choice(list(self.files))
        parameters = {"permanent": "true"} if for_good else {}
        before = self.connection.retries
        answer = self.connection.send("DELETE", f"{self.path}/{pk}", {204, 404}, params=parameters)
        # Who has sent it twice may have been the one who did it.
        assert answer.status_code == 204 or self.connection.retries > before, (
            f"file {pk} was not there"
        )
        self.version = answer.headers.get("ETag") if answer.status_code == 204 else None
        del self.files[pk]
        if for_good:
            self.load.gone_for_good.add((self.note, pk))
        self.main = None if self.main == pk else self.main
        self.load.acknowledge()

    def remove_for_good(self) -> None:
        self.remove(for_good=True)

    def set_main(self) -> None:
        sent, body = self.new_file()
        path = f"notes/{self.note}/file"
        answer = self.connection.send("PUT", path, {200}, files={"file": (sent.name, body)})
        self.check(answer.json(), sent)
        self.version = answer.headers["ETag"]
        if self.main is None:
            listed = self.connection.send("GET", self.path, {200}).json()["results"]
            (self.main,) = [file["id"] for file in listed if file["is_main"]]
        self.files[self.main] = sent
        self.load.acknowledge()

    def send(self) -> None:
        """Announce a file, bring it to S3, and say that it is there, or leave it, or give it up."""
        sent, body = self.new_file()
        if self.random.random() < DIRECT_IN_PARTS:
            body = self.random.randbytes(17 * MIB)
            sent = Sent.of(sent.name, body)
        announced = self.connection.send(
            "POST", f"{self.path}/uploads", {201}, json=dataclasses.asdict(sent),
            headers={"Idempotency-Key": secrets.token_hex(16)},
        ).json()  # fmt: skip
        path = f"{self.path}/uploads/{announced['id']}"
        if announced["url"] is None:
            self.send_parts(path, body)
        else:
            self.put(announced["url"], body, announced["headers"])
        what_next = self.random.random()
        if what_next < LEFT:
            self.load.acknowledge()
        elif what_next < 2 * LEFT:
            self.connection.send("DELETE", path, {204, 404})
            self.load.acknowledge()
        else:
            self.complete(path, sent)

    def send_parts(self, path: str, body: bytes) -> None:
        """Send what S3 does not have yet, until it has it all."""
        while parts := self.connection.send("GET", path, {200}).json()["parts"]:
            for part in parts:
                self.put(part["url"], body[part["start"] : part["start"] + part["size"]], {})

    def put(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        answer = requests.put(url, data=body, headers=headers, timeout=TIMEOUT_SECONDS)
        assert answer.status_code == 200, answer.text

    def complete(self, path: str, sent: Sent) -> None:
        """Say that a file is there; whoever is held up by a dead process says so again later."""
        for _ in range(20):
            answer = self.connection.try_once("POST", f"{path}/complete", {200})
            if answer is not None:
                told = answer.json()["attachment"]
                self.check(told, sent)
                self.files[told["id"]] = sent
                self.version = None
                self.load.acknowledge(posted=(sent.name, told["id"]))
                return
            self.connection.pause()
        self.unsure.append((path, sent))


class Sharer(Client):
    """Adds to a note that another one adds to, until it is full; then to the next."""

    def find_note(self) -> int:
        return self.load.shared

    def __init__(self, load: Load, number: int) -> None:
        super().__init__(load, number * len(load.accounts))  # of the first account

    def step(self) -> None:
        sent, body = self.new_file()
        answer = self.connection.send(
            "POST", self.path, {201, 409}, files={"file": (sent.name, body)},
            headers={"Idempotency-Key": secrets.token_hex(16)},
        )  # fmt: skip
        if answer.status_code == 201:
            self.keep(answer, sent)
            return
        assert answer.json()["code"] == "too_many_files", answer.text
        with self.load.sharing:
            if self.load.shared == self.note:
                self.load.shared = self.load.new_note(self.connection)
            self.note = self.load.shared


@contextlib.contextmanager
def clients(load: Load, number: int) -> Iterator[None]:
    """Let so many clients write within the block, and end knowing what they have done."""
    writing = [Client(load, i) for i in range(1, number - SHARING + 1)]
    writing += [Sharer(load, number + i) for i in range(SHARING)]
    with ThreadPoolExecutor(number) as pool:
        running = [pool.submit(client.run) for client in writing]
        try:
            yield
        finally:
            load.stopped.set()
        _results(running)
        wait_for(load.server.is_ready, load.server.process, "CloudNotes")
        inside(load.server, CLAIMS_END)
        _results([pool.submit(client.finish) for client in writing])
    assert [client.unsure for client in writing if client.unsure] == []


def _results(running: list["Future[None]"]) -> None:
    wait(running, return_when=FIRST_EXCEPTION)
    for each in running:
        each.result()


class Killer:
    """Kills web processes at random, and now and then the worker, which is started again."""

    def __init__(self, server: Server) -> None:
        self.server, self.killed = server, set[int]()
        self.worker = server.popen("worker")

    def kill(self) -> None:
        """Kill a web process that was not killed before, as soon as there is one."""
        server = self.server
        wait_for(lambda: self.alive(), server.process, "a worker")
        pid = random.choice(sorted(self.alive()))
        os.kill(pid, signal.SIGKILL)
        self.killed.add(pid)
        if len(self.killed) % WORKER_DIES_EVERY == 0:
            self.stop()
            self.worker = server.popen("worker")

    def alive(self) -> set[int]:
        return set(self.server.workers()) - self.killed

    def stop(self) -> None:
        self.worker.kill()
        self.worker.wait()


@contextlib.contextmanager
def killer(server: Server) -> Iterator[Killer]:
    killing = Killer(server)
    try:
        yield killing
    finally:
        killing.stop()


def inside(server: Server, script: str) -> None:
    """Run a script in a process of CloudNotes of its own."""
    subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**server.environment, "DJANGO_SETTINGS_MODULE": "cloudnotes.settings"},
        check=True,
    )


def settle(server: Server) -> None:
    """Let days pass, and CloudNotes put right what it then has to, once."""
    inside(server, DAYS_PASS)
    reconcile(server)


def reconcile(server: Server, options: str = "") -> int:
    """Return what the command ends with; what it says is in the server's log."""
    return server.popen(f"{RECONCILE} {options}").wait()


@dataclasses.dataclass
class Findings:
    """What is wrong; nothing, if all is well."""

    lost: list[str] = dataclasses.field(default_factory=list)
    orphans: list[str] = dataclasses.field(default_factory=list)
    wrong: list[str] = dataclasses.field(default_factory=list)
    contradictions: list[str] = dataclasses.field(default_factory=list)

    def all(self) -> list[str]:
        return [*self.lost, *self.orphans, *self.wrong, *self.contradictions]


def audit(load: Load, s3: S3Server, bucket: str) -> Findings:
    """Look at every row and every object there is, when all has settled."""
    found, server = Findings(), load.server
    notes = _files(server.rows("SELECT id, files FROM notes_note"))
    revisions = _files(server.rows("SELECT id, files FROM notes_revision"))
    stored = bytes_in(s3, bucket)
    objects = {
        pk: (key, state, size, sha256)
        for pk, key, state, size, sha256 in server.rows(
            "SELECT id, key, state, size, sha256 FROM notes_storedobject"
        )
    }
    attached = server.rows("SELECT id, note_id, object_id FROM notes_attachment")
    kept = server.rows("SELECT revision_id, object_id FROM notes_keptfile")
    shown = server.rows("SELECT source_id, object_id FROM notes_thumbnail")
    avatars = {key for (key,) in server.rows("SELECT key FROM accounts_avatar")}

    for note, files in load.expected.items():
        there = {file["id"]: file for file in notes.get(note, ())}
        for pk, sent in files.items():
            file = there.pop(pk, None)
            row = objects.get(file["object"]) if file else None
            if file is None or _sent(file) != sent:
                found.lost.append(f"note {note} has not {sent} as its file {pk} but {file}")
            elif row is None or stored.get(row[0]) != (sent.size, sent.sha256):
                found.lost.append(f"file {pk} of note {note}, {sent}, is {row} and its bytes not")
        found.contradictions += [f"note {note} has {file} too" for file in there.values()]

    pointed_at = {pk for _, _, pk in attached} | {pk for _, pk in kept} | {pk for _, pk in shown}
    ready = {row[0] for row in objects.values() if row[1] == "ready"}
    found.orphans += [f"{key} has no ready row" for key in stored.keys() - ready]
    found.orphans += [f"{upload} is unfinished" for upload in unfinished(s3, bucket)]
    found.orphans += [
        f"nothing points at {row}"
        for pk, row in objects.items()
        if row[1] != "ready" or (pk not in pointed_at and row[0] not in avatars)
    ]
    found.wrong += [
        f"{key} should have {size} bytes of SHA-256 {sha256}, and has {stored.get(key)}"
        for key, state, size, sha256 in objects.values()
        if state == "ready" and stored.get(key) != (size, sha256)
    ]

    told = {(file["id"], note, file["object"]) for note, files in notes.items() for file in files}
    found.contradictions += [
        f"attachment {each} is either a row or what its note tells" for each in told ^ set(attached)
    ]
    mentioned = {(pk, file["object"]) for pk, files in revisions.items() for file in files}
    found.contradictions += [
        f"revision and object {each} are either a row or what the revision tells"
        for each in mentioned ^ set(kept)
    ]
    of_revisions = dict(server.rows("SELECT id, note_id FROM notes_revision"))
    ever = [(note, file) for note, files in notes.items() for file in files]
    ever += [(of_revisions[pk], file) for pk, files in revisions.items() for file in files]
    found.contradictions += sorted(
        {
            f"{file['name']} is file {file['id']}, and was {load.posted[file['name']]}"
            for note, file in ever
            if load.posted.get(file["name"], file["id"]) != file["id"]
        }
    )
    found.contradictions += sorted(
        {
            f"file {file['id']} of note {note} is gone for good and still there"
            for note, file in ever
            if (note, file["id"]) in load.gone_for_good
        }
    )
    for number in range(len(load.accounts)):
        me = Connection(load, number).send("GET", "auth/me", {200}).json()
        sizes = [
            size
            for size, owner, state in server.rows(
                "SELECT size, owner_id, state FROM notes_storedobject"
            )
            if owner == me["id"] and state == "ready"
        ]
        if (me["storage"]["bytes"], me["storage"]["files"]) != (sum(sizes), len(sizes)):
            found.contradictions.append(f"{me['storage']} and {sum(sizes)} in {len(sizes)} rows")
    return found


def _files(rows: list[tuple[Any, ...]]) -> dict[int, list[dict[str, Any]]]:
    return {pk: json.loads(files) if files else [] for pk, files in rows}


def _sent(file: dict[str, Any]) -> Sent:
    return Sent(file["name"], file.get("size", 0), file["sha256"])


def bytes_in(s3: S3Server, bucket: str) -> dict[str, tuple[int, str]]:
    """Return size and SHA-256 of every object, from its bytes as they are downloaded."""
    client, found = s3.client(), {}
    for key in s3.keys(bucket):
        digest, size = hashlib.sha256(), 0
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
        for piece in body.iter_chunks(MIB):
            digest.update(piece)
            size += len(piece)
        found[key] = (size, digest.hexdigest())
    return found


def unfinished(s3: S3Server, bucket: str) -> list[str]:
    """Return the uploads in parts that were neither finished nor dropped."""
    client = s3.client()
    try:
        told = client.list_multipart_uploads(Bucket=bucket)
    except client.exceptions.NoSuchUpload:  # what rclone says of a bucket that never had one
        return []
    return [f"upload {each['UploadId']} of {each['Key']}" for each in told.get("Uploads", ())]


def kill_some(server: Server, load: Load, *, kills: int, pause: Callable[[], None]) -> int:
    """Kill web processes, each after a ``pause``; return how many died."""
    with killer(server) as killing:
        while len(killing.killed) < kills:
            pause()
            killing.kill()
        return len(killing.killed)

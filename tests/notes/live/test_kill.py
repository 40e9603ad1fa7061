"""Worker processes are killed in the middle of writes; what was acknowledged is there."""

import collections
import os
import random
import secrets
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.clients import new_account
from tests.lengths import length
from tests.notes import chains
from tests.servers import Server, wait_for

KILLS = length(short=6, full=200)
BATCH = 3


@pytest.fixture
def victim(tmp_path, new_database):
    with new_database(tmp_path) as where:
        running = Server(tmp_path, **where)
        running.start()
        yield running
        running.stop()


class Load:
    """Clients that write without a pause. Every text is sent as title and as content, once."""

    def __init__(self, server):
        self.server, self.stopped = server, threading.Event()
        _, tokens = new_account(server)
        self.headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        self.changed = threading.Condition()
        self.acknowledged = []  # note, version, text
        self.tried = set()
        self.batches = []  # texts of one transaction
        self.unanswered = 0

    def text(self):
        text = secrets.token_hex(12)
        with self.changed:
            self.tried.add(text)
        return text

    def send(self, client, method, path, statuses, **options):
        """Return the answer, None if there is none and nobody knows what was done."""
        url = f"{self.server.api}/{path}"
        try:
            answer = client.request(method, url, headers=self.headers | options.pop("headers", {}),
                                    timeout=60, **options)  # fmt: skip
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            self.unanswered += 1
            return None
        if answer.status_code == 503:
            return None
        assert answer.status_code in statuses, answer.text
        return answer

    def acknowledge(self, note, version, text):
        with self.changed:
            self.acknowledged.append((note, version, text))
            self.changed.notify_all()

    def wait_for_more(self, number):
        with self.changed:
            wanted = len(self.acknowledged) + number
            assert self.changed.wait_for(lambda: len(self.acknowledged) >= wanted, timeout=60)

    def new_note(self):
        """Return a note that was there before the first process was killed."""
        text = self.text()
        body = {"title": text, "content": text}
        note = self.send(requests, "POST", "notes", {201}, json=body).json()
        self.acknowledge(note["id"], note["version"], text)
        return note["id"]

    def create(self):
        with requests.Session() as client:
            while not self.stopped.is_set():
                text = self.text()
                body = {"title": text, "content": text}
                if answer := self.send(client, "POST", "notes", {201}, json=body):
                    self.acknowledge(answer.json()["id"], 1, text)

    def put(self, note):
        """Replace a note that others replace too."""
        version = None
        with requests.Session() as client:
            while not self.stopped.is_set():
                if version is None:
                    answer = self.send(client, "GET", f"notes/{note}", {200})
                    version = answer.json()["version"] if answer else None
                    continue
                text = self.text()
                answer = self.send(
                    client, "PUT", f"notes/{note}", {200, 412},
                    json={"title": text, "content": text}, headers={"If-Match": f'"{version}"'},
                )  # fmt: skip
                if answer is None:
                    version = None
                elif answer.status_code == 200:
                    version = answer.json()["version"]
                    self.acknowledge(note, version, text)
                else:
                    version = answer.json()["current"]["version"]

    def send_batches(self, note):
        """Send creations and an update of a note of one's own; again, or give up, if unanswered."""
        version = 1
        with requests.Session() as client:
            while not self.stopped.is_set():
                texts = [self.text() for _ in range(BATCH + 1)]
                self.batches.append(texts)
                changes = [
                    {"op": "create", "client_id": text, "title": text, "content": text}
                    for text in texts[:BATCH]
                ]
                update = {"op": "update", "id": note, "base_version": version}
                changes.append({**update, "title": texts[BATCH], "content": texts[BATCH]})
                answer, is_given_up = None, False
                while answer is None and not is_given_up:
                    answer = self.send(client, "POST", "sync", {200}, json={"changes": changes})
                    is_given_up = answer is None and random.random() < 0.5
                if answer is None:
                    while not (answer := self.send(client, "GET", f"notes/{note}", {200})):
                        pass
                    version = answer.json()["version"]
                    continue
                results = answer.json()["results"]
                version = results[BATCH]["version"]
                if results[BATCH]["status"] == "conflict":  # a batch given up was just committed
                    results.pop()
                    texts.pop()
                assert {result["status"] for result in results} == {"applied"}
                for result, text in zip(results, texts, strict=True):
                    self.acknowledge(result["id"], result["version"], text)


def kill_some(server, load):
    """Kill one worker after another, each after some more writes were acknowledged."""
    killed = set()
    while len(killed) < KILLS or (not load.unanswered and len(killed) < 3 * KILLS):
        load.wait_for_more(random.randint(1, 40))
        wait_for(lambda: set(server.workers()) - killed, server.process, "a worker")
        worker = random.choice(sorted(set(server.workers()) - killed))
        os.kill(worker, signal.SIGKILL)
        killed.add(worker)
    load.wait_for_more(20)


@pytest.mark.long
def test_what_was_acknowledged_outlives_killed_workers_and_nothing_is_half_done(victim):
    load = Load(victim)
    shared, own = [load.new_note() for _ in range(2)], [load.new_note() for _ in range(2)]
    clients = [
        load.create,
        load.create,
        *[lambda note=note: load.put(note) for note in shared * 2],
        *[lambda note=note: load.send_batches(note) for note in own],
    ]
    with ThreadPoolExecutor(len(clients)) as pool:
        running = [pool.submit(client) for client in clients]
        try:
            kill_some(victim, load)
        finally:
            load.stopped.set()
        for client in running:
            client.result()
    wait_for(victim.is_ready, victim.process, "CloudNotes")

    states = [
        *victim.rows("SELECT id, version, title, content FROM notes_note"),
        *victim.rows("SELECT note_id, version, title, content FROM notes_revision"),
    ]
    there = {(note, version): title for note, version, title, _ in states}
    lost = [write for write in load.acknowledged if there.get(write[:2]) != write[2]]
    assert lost == []
    assert [state for state in states if state[2] != state[3]] == []
    said = collections.Counter(title for *_, title, _ in states)
    assert set(said) <= load.tried
    assert [text for text, times in said.items() if times > 1] == []
    for texts in load.batches:  # one transaction: all of it or nothing
        assert {text in said for text in texts} in ({True}, {False})
    assert chains.faults(victim, with_gaps=False) == []
    assert load.unanswered > 0  # otherwise the processes died idle
    assert_feed_is_whole(victim, load)
    print(  # noqa: T201 - for who kills many
        f"{KILLS} kills, {len(load.acknowledged)} acknowledged, {load.unanswered} unanswered"
    )


def assert_feed_is_whole(server, load):
    copy, cursor, has_more = {}, {}, True
    while has_more:
        page = load.send(requests, "GET", "sync", {200}, params={"limit": 500, **cursor}).json()
        copy |= {change["id"]: change["note"]["version"] for change in page["changes"]}
        cursor, has_more = {"cursor": page["cursor"]}, page["has_more"]
    assert copy == dict(server.rows("SELECT id, version FROM notes_note"))

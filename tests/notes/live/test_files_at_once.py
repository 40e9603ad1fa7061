"""Many files at the same time, on a live server with two processes."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.clients import new_account
from tests.notes.files import sha256
from tests.servers import Server


@pytest.fixture(scope="module")
def server(s3, tmp_path_factory, new_database):
    folder = tmp_path_factory.mktemp("small-accounts")
    with new_database(folder) as where:
        bucket = s3.environment(s3.new_bucket())
        running = Server(folder, **where, **bucket, MAX_ACCOUNT_BYTES="1000")
        running.start()
        yield running
        running.stop()


class Account:
    def __init__(self, server):
        self.server = server
        _, tokens = new_account(server)
        self.headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        self.note = self.send("POST", "notes", json={"title": "t"}).json()["id"]

    def send(self, method, path, **options):
        url = f"{self.server.api}/{path}"
        headers = {**self.headers, **options.pop("headers", {})}
        return requests.request(method, url, headers=headers, timeout=60, **options)

    def add(self, content, **headers):
        path = f"notes/{self.note}/attachments"
        return self.send("POST", path, files={"file": ("f.txt", content)}, headers=headers)

    def objects(self):
        owners = dict(self.server.rows("SELECT id, owner_id FROM notes_note"))
        rows = self.server.rows("SELECT owner_id, state, size FROM notes_storedobject")
        return [(state, size) for owner, state, size in rows if owner == owners[self.note]]

    def usage(self):
        return self.send("GET", "auth/me").json()["storage"]


@pytest.fixture
def account(server):
    return Account(server)


def at_once(calls):
    with ThreadPoolExecutor(10) as pool:
        return [each.result() for each in [pool.submit(call) for call in calls]]


def test_bytes_are_exact(account):
    answers = at_once([lambda n=n: account.add(b"%0100d" % n) for n in range(30)])
    told = [(answer.status_code, answer.json().get("code")) for answer in answers]
    assert told.count((201, None)) == 10
    assert told.count((413, "quota_exceeded")) == 20
    assert account.objects() == [("ready", 100)] * 10
    assert account.usage() == {"bytes": 1000, "max_bytes": 1000, "files": 10, "max_files": 10_000}


def test_announced_bytes_are_exact_and_count(account):
    path = f"notes/{account.note}/attachments/uploads"

    def announce(number):
        body = {"name": "f", "size": 100, "sha256": f"{number:064x}"}
        return account.send("POST", path, json=body)

    answers = at_once(
        [lambda n=n: announce(n) if n % 2 else account.add(b"%0100d" % n) for n in range(30)]
    )
    assert [answer.status_code for answer in answers].count(201) == 10
    assert account.usage()["bytes"] == 1000
    for answer in answers:
        if answer.status_code == 201 and "expires_at" in answer.json():
            assert account.send("DELETE", f"{path}/{answer.json()['id']}").status_code == 204
    assert account.usage()["bytes"] == 100 * len(account.objects())
    assert {state for state, _ in account.objects()} <= {"ready"}


def test_the_same_bytes_are_stored_once(account):
    answers = at_once([lambda: account.add(b"same")] * 20)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 20
    assert account.objects() == [("ready", 4)]


def test_a_key_makes_one_file_however_often_it_is_sent_at_once(account):
    answers = at_once([lambda: account.add(b"once", **{"Idempotency-Key": "k"})] * 12)
    assert {answer.status_code for answer in answers} <= {201, 409}
    ids = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    listed = account.send("GET", f"notes/{account.note}/attachments").json()["results"]
    assert [each["id"] for each in listed] == list(ids)
    assert account.objects() == [("ready", 4)]


def test_an_upload_is_completed_once(account):
    content, path = b"direct", f"notes/{account.note}/attachments/uploads"
    body = {"name": "f", "size": len(content), "sha256": sha256(content)}
    upload = account.send("POST", path, json=body).json()
    assert requests.put(upload["url"], content, headers=upload["headers"], timeout=60).ok
    complete = f"{path}/{upload['id']}/complete"
    answers = at_once([lambda: account.send("POST", complete)] * 12)
    assert {answer.status_code for answer in answers} <= {200, 409}
    last = account.send("POST", complete).json()
    listed = account.send("GET", f"notes/{account.note}/attachments").json()["results"]
    assert listed == [last["attachment"]]
    assert account.objects() == [("ready", 6)]

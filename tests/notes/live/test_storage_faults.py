"""S3 refuses, hangs or fails: notes go on, uploads are answered, and then all is well again."""

import hashlib
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.notes.live import file_writers
from tests.s3proxy import S3Proxy, State
from tests.servers import Server, wait_for

SMALL, LARGE = 2**10, 20 * 2**20
HEALTHY = [201, 200, 200, 200, 200, 200, 200, 200, 204]  # of `Account.use_notes`
THREADS = 8  # for what waits for S3, of both processes
FAULTS = [state for state in State if state is not State.HEALTHY]


@pytest.fixture(scope="module")
def proxy(s3):
    running = S3Proxy(s3, held_seconds=300)  # until it is healed
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def bucket(s3):
    return s3.new_bucket()


@pytest.fixture(scope="module")
def served(proxy, bucket, s3, tmp_path_factory, new_database):
    folder = tmp_path_factory.mktemp("faults")
    with new_database(folder) as where:
        settings = proxy.environment(s3, bucket) | file_writers.SETTINGS
        running = Server(folder, **where, **settings)
        running.start()
        yield running
        running.stop()


class Account:
    """A client with an account of its own and a note."""

    def __init__(self, server):
        self.server, self.client = server, requests.Session()
        self.headers = {"Authorization": f"Bearer {file_writers.new_account(server)}"}
        self.note = self.ask("POST", "notes", json={"title": "t"}).json()["id"]

    def ask(self, method, path, **options):
        headers = self.headers | options.pop("headers", {})
        url = f"{self.server.api}/{path}"
        return self.client.request(method, url, headers=headers, timeout=60, **options)

    def ask_alone(self, method, path):
        """Ask on a connection of one's own, as each thread has to."""
        url = f"{self.server.api}/{path}"
        return requests.request(method, url, headers=self.headers, timeout=60)

    def upload(self, body, key="", path="attachments", note=None):
        method = "PUT" if path == "file" else "POST"
        headers = {"Idempotency-Key": key} if key else {}
        with requests.Session() as client:  # of several threads each has its own
            return client.request(
                method,
                f"{self.server.api}/notes/{note or self.note}/{path}",
                files={"file": ("f", body)},
                headers=self.headers | headers,
                timeout=60,
            )

    def announce(self, body):
        """Announce a file and send it to S3; return where to complete the upload."""
        path = f"notes/{self.note}/attachments/uploads"
        said = {"name": "a", "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        upload = self.ask("POST", path, json=said).json()
        sent = requests.put(upload["url"], data=body, headers=upload["headers"], timeout=60)
        assert sent.status_code == 200
        return f"{path}/{upload['id']}/complete"

    def use_notes(self):
        """Create, read, list, update and find notes; return what they are answered with."""
        created = self.ask("POST", "notes", json={"title": "new", "content": "words"})
        path = f"notes/{created.json()['id']}"
        answers = [
            created,
            self.ask("GET", path),
            self.ask("GET", "notes"),
            self.ask("PUT", path, json={"title": "newer", "content": "words"}),
            self.ask("GET", "search", params={"q": "newer"}),
            self.ask("GET", "sync"),
            self.ask("GET", f"notes/{self.note}/attachments"),
            self.ask("GET", "auth/me"),
            self.ask("DELETE", path),
        ]
        return [answer.status_code for answer in answers]


@pytest.mark.parametrize("state", FAULTS, ids=lambda state: state.name.lower())
def test_notes_go_on_and_uploads_are_refused_until_s3_is_back(state, served, proxy, bucket, s3):
    alice, before = Account(served), file_writers.bytes_in(s3, bucket)
    kept = alice.upload(b"kept").json()
    going = alice.upload(b"going").json()
    announced = secrets.token_bytes(SMALL)
    complete = alice.announce(announced)
    small, large = secrets.token_bytes(SMALL), secrets.token_bytes(LARGE)
    assert alice.use_notes() == HEALTHY

    proxy.become(state)
    with ThreadPoolExecutor(4) as pool:
        refused = [
            pool.submit(alice.upload, small, "small"),
            pool.submit(alice.upload, large, "large"),
            pool.submit(alice.upload, small, "", "file"),
            pool.submit(alice.ask, "POST", complete),
        ]
        for _ in range(3):
            assert alice.use_notes() == HEALTHY
        answers = [each.result() for each in refused]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
    going_url = f"notes/{alice.note}/attachments/{going['id']}"
    assert alice.ask("DELETE", going_url, params={"permanent": "true"}).status_code == 204

    proxy.heal()
    uploaded = [alice.upload(small, "small"), alice.upload(large, "large")]
    assert [answer.status_code for answer in uploaded] == [201, 201]
    assert alice.upload(small, path="file").status_code == 200
    assert alice.ask("POST", complete).status_code == 200
    listed = alice.ask("GET", f"notes/{alice.note}/attachments").json()["results"]
    digests = sorted(hashlib.sha256(each).hexdigest() for each in (small, small, large, announced))
    assert sorted(file["sha256"] for file in listed) == sorted([kept["sha256"], *digests])

    file_writers.settle(served)
    there = file_writers.bytes_in(s3, bucket)
    new = [there[key] for key in there.keys() - before.keys()]
    files = {(file["size"], file["sha256"]) for file in listed}
    assert sorted(new) == sorted(files)
    assert before.items() <= there.items()
    assert file_writers.unfinished(s3, bucket) == []
    assert {state for (state,) in served.rows("SELECT state FROM notes_storedobject")} == {"ready"}
    assert len(there) == len(served.rows("SELECT id FROM notes_storedobject"))


def test_notes_go_on_while_a_crowd_waits_for_s3(served, proxy):
    """Whatever asks S3 waits in threads of its own, also what brings no bytes."""
    alice = Account(served)
    uploads = [alice.announce(secrets.token_bytes(SMALL)) for _ in range(18)]
    doomed = [alice.ask("POST", "notes", json={"title": "d"}).json()["id"] for _ in range(6)]
    for note in doomed:
        body = secrets.token_bytes(SMALL)
        assert alice.upload(body, path="file", note=note).status_code == 200
    asked = [("POST", path) for path in uploads]
    asked += [("DELETE", f"notes/{note}?permanent=true") for note in doomed]
    proxy.become(State.SLOW)
    with ThreadPoolExecutor(len(asked)) as pool:
        crowd = [pool.submit(alice.ask_alone, *each) for each in asked]
        wait_for(lambda: len(proxy.held()) >= THREADS, served.process, "The service")
        assert alice.use_notes() == HEALTHY
        # They take turns: had notes waited among them, most of these would be answered now.
        assert sum(each.done() for each in crowd) <= len(crowd) * 2 / 3
        answers = [each.result() for each in crowd]
    for answer in answers[: len(uploads)]:
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    assert {answer.status_code for answer in answers[len(uploads) :]} == {204}

    proxy.heal()
    for path in uploads:
        assert alice.ask("POST", path).status_code == 200
    listed = alice.ask("GET", f"notes/{alice.note}/attachments").json()["results"]
    assert len(listed) == len(uploads)

"""S3 refuses, hangs or fails: notes go on, uploads are answered, and then all is well again."""

import hashlib
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.notes import file_writers
from tests.s3proxy import S3Proxy, State
from tests.servers import Server, database

SMALL, LARGE = 2**10, 20 * 2**20
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
def served(proxy, bucket, s3, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    with database(folder) as where:
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

    def upload(self, body, key="", path="attachments"):
        method = "PUT" if path == "file" else "POST"
        headers = {"Idempotency-Key": key} if key else {}
        with requests.Session() as client:  # of several threads each has its own
            return client.request(
                method,
                f"{self.server.api}/notes/{self.note}/{path}",
                files={"file": ("f", body)},
                headers=self.headers | headers,
                timeout=60,
            )

    def use_notes(self):
        """Create, read, list, update and find notes; return what they are answered with."""
        created = self.ask("POST", "notes", json={"title": "new", "content": "words"})
        path = f"notes/{created.json()['id']}"
        answers = [
            created,
            self.ask("GET", path),
            self.ask("GET", "notes"),
            self.ask("PUT", path, json={"title": "newer"}),
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
    upload = alice.ask(
        "POST",
        f"notes/{alice.note}/attachments/uploads",
        json={"name": "a", "size": SMALL, "sha256": hashlib.sha256(announced).hexdigest()},
    ).json()
    sent = requests.put(upload["url"], data=announced, headers=upload["headers"], timeout=60)
    assert sent.status_code == 200
    complete = f"notes/{alice.note}/attachments/uploads/{upload['id']}/complete"
    small, large = secrets.token_bytes(SMALL), secrets.token_bytes(LARGE)
    healthy = [201, 200, 200, 200, 200, 200, 200, 200, 204]
    assert alice.use_notes() == healthy

    proxy.become(state)
    with ThreadPoolExecutor(4) as pool:
        refused = [
            pool.submit(alice.upload, small, "small"),
            pool.submit(alice.upload, large, "large"),
            pool.submit(alice.upload, small, "", "file"),
            pool.submit(alice.ask, "POST", complete),
        ]
        for _ in range(3):
            assert alice.use_notes() == healthy
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

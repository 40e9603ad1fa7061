"""Parallel clients that change one note, against two worker processes."""

import contextlib
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.clients import new_account
from tests.conftest import PASSWORD
from tests.lengths import length

WRITERS = 10
ROUNDS = length(short=12, full=2000)


class Device(requests.Session):
    """A client with a connection and a token of its own."""

    def __init__(self, server, token):
        super().__init__()
        self.api = server.api
        self.headers["Authorization"] = f"Bearer {token}"

    def call(self, method, path, status, **options):
        answer = self.request(method, f"{self.api}/{path}", timeout=60, **options)
        assert answer.status_code == status, answer.text
        return answer.json()


def log_in(server, account):
    body = {"username": account["email"], "password": PASSWORD}
    answer = requests.post(f"{server.api}/auth/login", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


def make_token(server, session_token):
    body = {"name": "ten", "password": PASSWORD, "scopes": ["notes:write"]}
    headers = {"Authorization": f"Bearer {session_token}"}
    answer = requests.post(f"{server.api}/auth/tokens", json=body, headers=headers, timeout=60)
    assert answer.status_code == 201, answer.text
    return answer.json()["token"]


@pytest.fixture(scope="module", params=["ten sessions", "one token"])
def devices(request, server):
    account, tokens = new_account(server)
    if request.param == "ten sessions":
        secrets_ = [log_in(server, account) for _ in range(WRITERS)]
    else:
        secrets_ = [make_token(server, tokens["access_token"])] * WRITERS
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Device(server, secret)) for secret in secrets_]


@pytest.fixture
def note(devices):
    return devices[0].call("POST", "notes", 201, json={"title": "all", "content": "first"})


def at_once(devices, call, number=None):
    """Call with each device and a number from 0, all let go at the same moment."""
    number = number or len(devices)
    starting_line = threading.Barrier(len(devices))

    def run(device, mine):
        starting_line.wait(timeout=60)
        return [call(device, i) for i in mine]

    with ThreadPoolExecutor(len(devices)) as pool:
        shares = [range(i, number, len(devices)) for i in range(len(devices))]
        return [answer for answers in pool.map(run, devices, shares) for answer in answers]


def history(device, note):
    """Return by version what the revisions of a note say, and what it says now."""
    path, cursor, versions = f"notes/{note['id']}/revisions", {}, []
    while True:
        page = device.call("GET", path, 200, params={"limit": 200, **cursor})
        versions += [revision["version"] for revision in page["results"]]
        if not page["next"]:
            break
        cursor = {"cursor": page["next"]}
    states = {v: device.call("GET", f"{path}/{v}", 200)["content"] for v in versions}
    now = device.call("GET", f"notes/{note['id']}", 200)
    return {**states, now["version"]: now["content"]}


@pytest.mark.long
def test_of_ten_writers_with_one_version_one_wins_and_none_is_forgotten(devices, note):
    """Every second round goes on with the text: what one writer alone might have coalesced."""
    url, version, content, said = f"notes/{note['id']}", note["version"], note["content"], {}
    said[version] = content
    barrier = threading.Barrier(WRITERS)

    def write(device, text, version):
        barrier.wait(timeout=60)
        headers = {"If-Match": f'"{version}"'}
        body = {"content": text}
        return device.patch(f"{device.api}/{url}", json=body, headers=headers, timeout=60)

    with ThreadPoolExecutor(WRITERS) as pool:
        for number in range(ROUNDS):
            before = f"{content}\n" if number % 2 else ""
            texts = [before + secrets.token_hex(8) for _ in devices]
            answers = list(pool.map(write, devices, texts, [version] * WRITERS))
            won = [i for i, answer in enumerate(answers) if answer.status_code == 200]
            assert len(won) == 1, [answer.status_code for answer in answers]
            content, sent = texts[won[0]], version
            version = answers[won[0]].json()["version"]
            assert (answers[won[0]].json()["content"], version) == (content, sent + 1)
            said[version] = content
            for i, answer in enumerate(answers):
                if i != won[0]:
                    problem = answer.json()
                    assert (answer.status_code, problem["code"]) == (412, "stale_version")
                    assert problem["current"]["version"] == version
                    assert problem["current"]["content"] == content
    assert sorted(said) == list(range(1, ROUNDS + 2))
    assert history(devices[0], note) == said


def test_parallel_appends_are_all_there_once(devices, note):
    def append(device, number):
        body = {"op": "append", "text": f"line {number}."}
        return device.call("POST", f"notes/{note['id']}/edits", 200, json=body)["version"]

    assert sorted(at_once(devices, append, 40)) == list(range(2, 42))
    states = history(devices[0], note)
    assert sorted(states) == list(range(1, 42))
    assert sorted(states[41].split("\n")) == sorted(["first", *(f"line {i}." for i in range(40))])
    for version in range(1, 41):  # each state is the one before with one line more
        assert states[version + 1].startswith(states[version])


def test_parallel_toggles_and_appends_do_not_undo_each_other(devices):
    tasks = "".join(f"- [ ] task {i}\n" for i in range(WRITERS))
    note = devices[0].call("POST", "notes", 201, json={"title": "", "content": tasks})

    def edit(device, number):
        task, turn = number % WRITERS, number // WRITERS
        body = {"op": "toggle_task", "task": task + 1}
        if turn % 2:
            body = {"op": "append", "text": f"line {number}."}
        return device.call("POST", f"notes/{note['id']}/edits", 200, json=body)["version"]

    # Turns 0, 2 and 4 toggle each task, turns 1 and 3 append: every task is toggled three times.
    assert sorted(at_once(devices, edit, 5 * WRITERS)) == list(range(2, 5 * WRITERS + 2))
    content = history(devices[0], note)[5 * WRITERS + 1]
    done = [f"- [x] task {i}" for i in range(WRITERS)]
    lines = [f"line {i}." for i in range(5 * WRITERS) if i // WRITERS % 2]
    assert content.split("\n")[:WRITERS] == done
    assert sorted(filter(None, content.split("\n")[WRITERS:])) == sorted(lines)


def test_parallel_merges_of_distinct_lines_are_all_taken(devices):
    lines = [f"line {i}" for i in range(3 * WRITERS)]  # changed lines do not touch each other
    note = devices[0].call("POST", "notes", 201, json={"title": "", "content": "\n".join(lines)})
    url = f"notes/{note['id']}"
    stale = devices[0].call("GET", url, 200)["version"]  # read, so that the history keeps it
    devices[0].call("PUT", f"{url}/title", 200, json={"title": "now it is stale"})

    def merge(device, number):
        mine = lines.copy()
        mine[3 * number + 1] = f"written by {number}"
        headers = {"If-Match": f'"{stale}"', "Prefer": "merge"}
        body = {"content": "\n".join(mine)}
        answer = device.call("PATCH", url, 200, json=body, headers=headers)
        assert answer["merged"]
        return answer["version"]

    assert sorted(at_once(devices, merge)) == list(range(3, WRITERS + 3))
    wanted = [f"written by {i // 3}" if i % 3 == 1 else line for i, line in enumerate(lines)]
    states = history(devices[0], note)
    assert states[WRITERS + 2] == "\n".join(wanted)
    assert sorted(states) == list(range(1, WRITERS + 3))

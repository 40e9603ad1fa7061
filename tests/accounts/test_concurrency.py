"""Parallel clients against two worker processes."""

import collections
import functools
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.clients import in_parallel, new_account
from tests.conftest import PASSWORD
from tests.lengths import length


def test_thirty_parallel_registrations_of_one_address_give_one_user(server):
    body = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD}
    answers = in_parallel(
        30, lambda: requests.post(f"{server.api}/auth/register", json=body, timeout=60)
    )
    codes = collections.Counter(
        (answer.status_code, answer.json().get("code")) for answer in answers
    )
    assert codes == {(201, None): 1, (400, "email_taken"): 29}


@pytest.mark.long
def test_twenty_parallel_refreshes_have_one_winner_each_round(server):
    _, tokens = new_account(server)
    url, token, seen = f"{server.api}/auth/refresh", tokens["refresh_token"], set()
    with ThreadPoolExecutor(20) as pool, requests.Session() as client:
        client.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=20))
        for _ in range(length(short=10, full=1000)):
            seen.add(token)
            body = {"refresh_token": token}
            answers = list(pool.map(lambda _: client.post(url, json=body, timeout=60), range(20)))  # noqa: B023
            assert {answer.status_code for answer in answers} == {200}
            (token,) = {answer.json()["refresh_token"] for answer in answers}
            assert token not in seen


def test_reuse_after_the_grace_window_kills_the_family(server):
    """A window of ten seconds cannot be waited for here: two rotations are past it too."""
    _, tokens = new_account(server)
    url, first = f"{server.api}/auth/refresh", {"refresh_token": tokens["refresh_token"]}
    second = requests.post(url, json=first, timeout=60).json()
    third = requests.post(url, json={"refresh_token": second["refresh_token"]}, timeout=60).json()
    assert requests.post(url, json=first, timeout=60).status_code == 401
    for pair in (second, third):
        again = {"refresh_token": pair["refresh_token"]}
        assert requests.post(url, json=again, timeout=60).status_code == 401
        header = {"Authorization": f"Bearer {pair['access_token']}"}
        assert requests.get(f"{server.api}/auth/me", headers=header, timeout=60).status_code == 401


def test_revocation_holds_in_every_process_on_the_next_request(server):
    _, tokens = new_account(server)
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    for _ in range(6):
        assert requests.get(f"{server.api}/auth/me", headers=header, timeout=60).ok
    requests.post(f"{server.api}/auth/logout", headers=header, timeout=60)
    for _ in range(12):
        answer = requests.get(f"{server.api}/auth/me", headers=header, timeout=60)
        assert answer.status_code == 401


def test_parallel_writes_to_one_note_are_all_counted(server):
    _, tokens = new_account(server)
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    note = requests.post(
        f"{server.api}/notes", json={"title": "0"}, headers=header, timeout=60
    ).json()
    url = f"{server.api}/notes/{note['id']}"

    def write():
        title = {"title": secrets.token_hex(8)}
        return requests.patch(url, json=title, headers=header, timeout=60).json()["version"]

    versions = in_parallel(40, write)
    assert sorted(versions) == list(range(2, 42))


def test_parallel_replacements_of_one_file_are_all_in_its_history(server, s3):
    _, tokens = new_account(server)
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    note = requests.post(
        f"{server.api}/notes", json={"title": "f"}, headers=header, timeout=60
    ).json()
    url = f"{server.api}/notes/{note['id']}/file"
    bucket = server.environment["BUCKET_NAME"]
    before = s3.keys(bucket)

    def upload():
        content = secrets.token_bytes(2000)
        answer = requests.put(url, files={"file": ("f", content)}, headers=header, timeout=60)
        return answer.status_code

    assert set(in_parallel(16, upload)) == {200}
    assert len(s3.keys(bucket) - before) == 16  # one is the file, the others its history
    (file,) = requests.get(
        f"{server.api}/notes/{note['id']}/attachments", headers=header, timeout=60
    ).json()["results"]
    assert file["is_main"]
    requests.delete(f"{server.api}/notes/{note['id']}?permanent=true", headers=header, timeout=60)
    assert s3.keys(bucket) == before


def test_the_first_batch_of_an_account_sent_in_parallel_has_one_effect(server):
    """The account has no feed yet that could be locked."""
    for _ in range(5):
        _, tokens = new_account(server)
        header = {"Authorization": f"Bearer {tokens['access_token']}"}
        changes = [{"op": "create", "client_id": str(n), "title": f"t{n}"} for n in range(5)]
        send = functools.partial(
            requests.post,
            f"{server.api}/sync",
            json={"changes": changes},
            headers=header,
            timeout=60,
        )
        answers = in_parallel(6, send)
        assert {answer.status_code for answer in answers} == {200}
        ids = {tuple(result["id"] for result in answer.json()["results"]) for answer in answers}
        assert len(ids) == 1
        listed = requests.get(f"{server.api}/notes", headers=header, timeout=60).json()["results"]
        assert {note["id"] for note in listed} == set(*ids)


def test_an_account_can_be_deleted_while_it_writes(server):
    for _ in range(4):
        _, tokens = new_account(server)
        header = {"Authorization": f"Bearer {tokens['access_token']}"}
        url = f"{server.api}/notes"
        note = requests.post(url, json={"title": "t"}, headers=header, timeout=60).json()
        answers, begun = [], threading.Barrier(5)

        def write(url=f"{url}/{note['id']}/edits", header=header, answers=answers, begun=begun):
            begun.wait()
            for number in range(40):
                edit = {"op": "append", "text": str(number)}
                answer = requests.post(url, json=edit, headers=header, timeout=60)
                answers.append(answer.status_code)

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        begun.wait()
        deleted = requests.delete(
            f"{server.api}/auth/me", json={"password": PASSWORD}, headers=header, timeout=60
        )
        for thread in threads:
            thread.join()
        assert deleted.status_code == 204
        assert set(answers) <= {200, 401, 404, 409}

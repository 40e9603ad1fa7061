"""Parallel clients against two worker processes."""

import collections
import secrets
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.conftest import PASSWORD


def in_parallel(number, call):
    with ThreadPoolExecutor(number) as pool:
        return [future.result() for future in [pool.submit(call) for _ in range(number)]]


def new_account(server):
    email = f"{secrets.token_hex(6)}@example.org"
    body = {"email": email, "password": PASSWORD}
    response = requests.post(f"{server.api}/auth/register", json=body, timeout=30)
    assert response.status_code == 201
    return body, response.json()


def test_thirty_parallel_registrations_of_one_address_give_one_user(server):
    body = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD}
    answers = in_parallel(
        30, lambda: requests.post(f"{server.api}/auth/register", json=body, timeout=60)
    )
    codes = collections.Counter(
        (answer.status_code, answer.json().get("code")) for answer in answers
    )
    assert codes == {(201, None): 1, (400, "email_taken"): 29}


def test_twenty_parallel_refreshes_have_one_winner(server):
    _, tokens = new_account(server)
    body = {"refresh_token": tokens["refresh_token"]}
    answers = in_parallel(
        20, lambda: requests.post(f"{server.api}/auth/refresh", json=body, timeout=30)
    )
    assert {answer.status_code for answer in answers} == {200}
    successors = {answer.json()["refresh_token"] for answer in answers}
    assert len(successors) == 1  # one rotation; the others were told its result
    again = {"refresh_token": successors.pop()}
    response = requests.post(f"{server.api}/auth/refresh", json=again, timeout=10)
    assert response.status_code == 200


def test_revocation_holds_in_every_process_on_the_next_request(server):
    _, tokens = new_account(server)
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    for _ in range(6):
        assert requests.get(f"{server.api}/auth/me", headers=header, timeout=10).ok
    requests.post(f"{server.api}/auth/logout", headers=header, timeout=10)
    for _ in range(12):
        answer = requests.get(f"{server.api}/auth/me", headers=header, timeout=10)
        assert answer.status_code == 401


def test_parallel_writes_to_one_note_are_all_counted(server):
    _, tokens = new_account(server)
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    note = requests.post(
        f"{server.api}/notes", json={"title": "0"}, headers=header, timeout=10
    ).json()
    url = f"{server.api}/notes/{note['id']}"

    def write():
        title = {"title": secrets.token_hex(8)}
        return requests.patch(url, json=title, headers=header, timeout=30).json()["version"]

    versions = in_parallel(40, write)
    assert sorted(versions) == list(range(2, 42))


def test_parallel_replacements_of_one_file_leave_one_object(server, s3):
    _, tokens = new_account(server)
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    note = requests.post(
        f"{server.api}/notes", json={"title": "f"}, headers=header, timeout=10
    ).json()
    url = f"{server.api}/notes/{note['id']}/file"
    bucket = server.environment["BUCKET_NAME"]
    before = s3.keys(bucket)

    def upload():
        content = secrets.token_bytes(2000)
        answer = requests.put(url, files={"file": ("f", content)}, headers=header, timeout=60)
        return answer.status_code

    assert set(in_parallel(16, upload)) == {200}
    assert len(s3.keys(bucket) - before) == 1
    requests.delete(f"{server.api}/notes/{note['id']}", headers=header, timeout=10)
    assert s3.keys(bucket) == before

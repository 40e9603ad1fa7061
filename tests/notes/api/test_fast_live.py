"""Both paths on a running service: on PostgreSQL its event loop answers."""

import socket
import time

import pytest
import requests
from django.db import connection

from tests.conftest import PASSWORD
from tests.notes.texts import ODD

pytestmark = pytest.mark.django_db


class TestLive:
    @pytest.fixture
    def asked(self, server):
        body = {"email": f"fast{time.monotonic_ns()}@example.org", "password": PASSWORD}
        tokens = requests.post(f"{server.api}/auth/register", json=body, timeout=60).json()
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        session.headers["X-Request-Id"] = "same"
        for number in range(25):
            session.post(f"{server.api}/notes", json={"title": f"{number} {ODD}", "content": ODD})
        while session.get(f"{server.api}/notes?limit=200").json()["next"]:
            pass
        return session

    def test_both_roads(self, server, asked):
        notes = f"{server.api}/notes"
        page = asked.get(notes)
        pk = page.json()["results"][0]["id"]
        for url, headers in [
            (notes, {}),
            (f"{notes}?limit=3", {}),
            (f"{notes}?cursor={page.json()['next']}", {}),
            (notes, {"If-None-Match": page.headers["ETag"]}),
            (f"{notes}/{pk}", {}),
            (f"{notes}/{pk}", {"If-None-Match": '"1"'}),
            (f"{notes}/{pk}", {"Origin": "https://evil.example.org"}),
            (f"{notes}/{2**62}", {}),
            (f"{notes}?limit=0", {}),
            (f"{notes}/{pk}", {"Authorization": "Bearer x"}),
        ]:
            told = []
            for rare in ({}, {"Cookie": "a=b"}):
                answer = asked.get(url, headers={**headers, **rare})
                fields = {name.lower(): value for name, value in answer.headers.items()}
                assert ("content-length" in fields) == (answer.status_code != 304)
                for name in ("date", "ratelimit-remaining", "ratelimit-reset"):
                    fields.pop(name, None)
                told.append((answer.status_code, fields, answer.content))
            assert told[0] == told[1], url

    def test_writes_on_both_roads(self, server, asked):
        notes = f"{server.api}/notes"
        pk = asked.post(notes, json={"title": "x"}).json()["id"]
        for method, url, body, headers, status in [
            ("POST", notes, {"title": ODD, "content": ODD}, {}, 201),
            ("POST", notes, {"title": "x", "content": "y" * 2**20}, {}, 201),
            ("POST", notes, {"title": 1}, {}, 400),
            ("PUT", f"{notes}/{pk}", {"title": ODD, "content": ODD}, {}, 200),
            ("PATCH", f"{notes}/{pk}", {"content": ODD}, {"If-Match": "*"}, 200),
            ("PATCH", f"{notes}/{pk}", {"content": ODD}, {"If-Match": '"999"'}, 412),
            ("PATCH", f"{notes}/{2**62}", {"content": ODD}, {}, 404),
        ]:
            told = []
            for rare in ({}, {"Cookie": "a=b"}):
                answer = asked.request(method, url, json=body, headers={**headers, **rare})
                assert answer.status_code == status, (method, url, answer.text)
                names = {name.lower() for name in answer.headers}
                note = answer.json()
                shown = {name: note.get(name) for name in ("title", "content", "category", "file")}
                told.append((names, note.keys(), shown))
            assert told[0] == told[1], (method, url)

    def test_a_session_that_ends_while_a_body_arrives_writes_nothing(self, server, asked):
        body = b'{"title":"after the log-out"}'
        head = [
            "POST /api/v1/notes HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            f"Authorization: {asked.headers['Authorization']}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connected:
            connected.sendall("\r\n".join([*head, "", ""]).encode() + body[:5])
            time.sleep(0.1)
            assert asked.post(f"{server.api}/auth/logout").status_code == 204
            connected.sendall(body[5:])
            assert connected.recv(1000).startswith(b"HTTP/1.1 401 ")

    @pytest.mark.postgresql
    def test_connections_that_broke_are_noticed_by_nobody(self, server, asked):
        for _ in range(3):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                    " WHERE datname = %s AND pid <> pg_backend_pid()",
                    [server.environment["DATABASE_URL"].rsplit("/", 1)[1]],
                )
            for _ in range(30):
                assert asked.get(f"{server.api}/notes").status_code == 200
                assert asked.post(f"{server.api}/notes", json={"title": "x"}).status_code == 201

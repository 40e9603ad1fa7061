"""The WSGI adapter under a real server: bodies, slow and broken clients, exceptions, limits."""

import hashlib
import http.client
import json
import os
import re
import threading

import pytest
import requests
from django.urls import get_resolver

from cloudnotes.api import routes
from cloudnotes.server import request_body, wsgi_adapter
from tests.cloudnotes.toy import connect, read_response, serving
from tests.waiting import TIMEOUT_SECONDS

pytestmark = pytest.mark.service


def described(body: bytes) -> bytes:
    return f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()


@pytest.mark.parametrize("size", [0, 1, 2**16, 2**20, 2**20 + 1, 8 * 2**20 + 1, 30 * 2**20])
def test_bodies_of_declared_length_arrive_whole(port, size):
    body = os.urandom(size)
    response = requests.post(f"http://127.0.0.1:{port}/digest", body, timeout=60)
    assert response.content == described(body)


@pytest.mark.parametrize("size", [0, 1, 2**20, 30 * 2**20])
def test_chunked_bodies_arrive_whole_with_their_length(port, size):
    body = os.urandom(size)
    pieces = (body[start : start + 99_999] for start in range(0, size, 99_999))
    response = requests.post(f"http://127.0.0.1:{port}/digest", pieces, timeout=60)
    assert response.content == described(body)


def test_a_slow_small_body_holds_no_thread(port):
    """More slow clients than threads, and others are served meanwhile."""
    slow = [connect(port) for _ in range(10)]
    for connection in slow:
        connection.sendall(b"POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")
    for _ in range(5):
        assert requests.get(f"http://127.0.0.1:{port}/environ", timeout=60).status_code == 200
    for connection in slow:
        connection.sendall(b"lo")
        assert read_response(connection)[2] == described(b"hello")
        connection.close()


def test_slow_large_bodies_hold_up_no_small_request(toy, monkeypatch):
    monkeypatch.setattr(wsgi_adapter, "STORING_QUEUE_SECONDS", 60.0)
    with serving(toy) as port:
        size = wsgi_adapter.COLLECTED_BYTES + 10
        slow = [connect(port) for _ in range(4)]  # twice the upload pool
        for connection in slow:
            head = f"POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
            connection.sendall(head.encode() + b"x" * 100)
        for _ in range(5):
            assert requests.get(f"http://127.0.0.1:{port}/environ", timeout=60).status_code == 200
        for connection in slow:
            connection.sendall(b"x" * (size - 100))
        for connection in slow:
            assert read_response(connection)[2] == described(b"x" * size)
            connection.close()


def test_a_large_body_is_read_while_it_arrives(port, toy):
    """The application runs, and fails, before the body is there: nothing is collected first."""
    size = wsgi_adapter.COLLECTED_BYTES * 4
    connection = connect(port)
    head = f"POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
    connection.sendall(head.encode() + b"x" * 10)
    assert read_response(connection)[0] == 401
    connection.close()


def test_a_client_that_leaves_in_the_middle_of_a_body_frees_its_thread(port, toy):
    size = wsgi_adapter.COLLECTED_BYTES * 2
    for _ in range(6):
        connection = connect(port)
        head = f"POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 1000)
        connection.close()
    assert toy.read_failed.wait(TIMEOUT_SECONDS)
    assert isinstance(toy.read_error, request_body.Disconnected)
    body = b"y" * size
    response = requests.post(f"http://127.0.0.1:{port}/digest", body, timeout=60)
    assert response.content == described(body)


@pytest.mark.parametrize("size", [10, wsgi_adapter.COLLECTED_BYTES * 2])
def test_a_client_that_falls_silent_is_answered_or_dropped(toy, monkeypatch, size):
    monkeypatch.setattr(request_body, "BODY_IDLE_SECONDS", 0.3)
    with serving(toy) as port:
        connection = connect(port)
        head = f"POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode() + b"x")
        status, headers, body = read_response(connection)
        # Collected: the adapter answers. Streamed: the toy lets the error out (Django answers 400).
        assert status == (408 if size == 10 else 500)
        assert headers["content-type"] == "application/problem+json"
        assert json.loads(body)["code"] == ("body_timeout" if size == 10 else "internal_error")
        connection.close()


def test_expect_100_continue_is_answered_when_the_body_is_wanted(port):
    connection = connect(port)
    connection.sendall(
        b"POST /digest HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    )
    assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(b"hello")
    assert read_response(connection)[2] == described(b"hello")
    connection.close()


def test_expect_100_continue_is_not_answered_when_a_large_body_is_refused_anyway(port):
    connection = connect(port)
    head = "POST /ignore HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 20000000"
    connection.sendall(f"{head}\r\n\r\n".encode())
    status, headers, _ = read_response(connection)
    assert (status, headers["connection"]) == (401, "close")
    connection.close()


def test_a_refused_expectation_closes_the_connection(toy, monkeypatch):
    """The client may keep its body: what came next would be taken for it."""
    monkeypatch.setattr(wsgi_adapter, "STORING_QUEUE_SECONDS", 0.0)
    with serving(toy, threads=1) as port:
        head = "POST /hold HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 20000000"
        holding = connect(port)
        holding.sendall(f"{head}\r\n\r\n".encode())
        assert toy.held.acquire(timeout=60)
        connection = connect(port)
        connection.sendall(f"{head}\r\n\r\n".encode())
        status, headers, _ = read_response(connection)
        assert (status, headers["connection"]) == (503, "close")
        toy.release.set()
        connection.close()
        holding.close()


@pytest.mark.parametrize("size", [5, 3 * 2**20])
def test_expect_100_continue_with_a_chunked_body_loses_nothing(port, size):
    connection = connect(port)
    connection.sendall(
        b"PATCH /digest HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    body = os.urandom(size)
    connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (size, body))
    assert read_response(connection)[2] == described(body)
    connection.close()


def test_a_body_with_an_upgrade_is_refused_and_not_lost(port):
    for length in (
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):
        connection = connect(port)
        connection.sendall(
            b"PATCH /digest HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" + length
        )
        status, headers, body = read_response(connection)
        assert (status, json.loads(body)["code"]) == (400, "bad_upgrade")
        assert headers["connection"] == "close"
        connection.close()


def test_an_upgrade_without_a_body_is_answered_plainly(port):
    connection = connect(port)
    connection.sendall(
        b"GET /environ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    )
    status, headers, _ = read_response(connection)
    assert (status, headers["connection"]) == (200, "close")
    connection.close()


@pytest.mark.parametrize("content_type", ["a/b; x*=bogus''x", "a/b; x*=idna''%ff"])
def test_a_content_type_that_cannot_be_parsed_is_400(port, content_type):
    response = requests.get(
        f"http://127.0.0.1:{port}/environ", headers={"Content-Type": content_type}, timeout=60
    )
    assert (response.status_code, response.json()["code"]) == (400, "bad_content_type")


def test_an_early_answer_to_a_large_body_can_be_read(port):
    for _ in range(10):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        body = b"x" * (12 * 2**20)
        connection.request("POST", "/ignore", body, {"Connection": "close"})
        assert connection.getresponse().status == 401
        connection.close()


def test_an_answer_that_takes_too_long_is_503_and_the_thread_comes_back(toy, monkeypatch):
    monkeypatch.setattr(wsgi_adapter, "ANSWER_SECONDS", 2.0)
    with serving(toy) as port:
        for _ in range(2):
            response = requests.get(f"http://127.0.0.1:{port}/hold", timeout=60)
            assert (response.status_code, response.json()["code"]) == (503, "unavailable")
            assert response.headers["retry-after"] == "5"
        toy.release.set()
        for _ in range(5):
            assert requests.get(f"http://127.0.0.1:{port}/environ", timeout=60).status_code == 200


STORING = [
    ("PUT", "hold", {"files": {"file": b"x"}}),
    ("DELETE", "hold", {"params": {"permanent": "true"}}),
]


@pytest.mark.parametrize(("method", "path", "options"), STORING)
def test_what_may_wait_for_the_storage_has_threads_of_its_own(toy, method, path, options):
    """Small requests too: a file storage that hangs holds up files alone."""
    with serving(toy, stores=re.compile(r"^DELETE /hold\?.")) as port:
        holding = [
            threading.Thread(
                target=requests.request,
                args=[method, f"http://127.0.0.1:{port}/{path}"],
                kwargs=options,
            )
            for _ in range(4)
        ]
        for thread in holding:
            thread.start()
        for _ in range(2):
            assert toy.held.acquire(timeout=60)
        for _ in range(5):
            assert requests.get(f"http://127.0.0.1:{port}/environ", timeout=60).status_code == 200
        toy.release.set()
        for thread in holding:
            thread.join()


def test_who_waits_for_the_storage_is_answered_within_ten_seconds():
    assert wsgi_adapter.STORING_QUEUE_SECONDS + wsgi_adapter.STORING_ANSWER_SECONDS < 10


@pytest.mark.parametrize(
    "asked",
    [
        "POST /api/v1/notes/1/attachments/uploads?",
        "GET /api/v1/notes/1/attachments/uploads/2?",
        "DELETE /notes/1/attachments/uploads/2?",
        "POST /api/v1/notes/1/attachments/uploads/2/complete?",
        "GET /api/v1/notes/1/attachments/2?inline=1",
        "GET /api/v1/notes/1/attachments/2/thumbnail?size=96",
        "GET /api/v1/notes/1/revisions/3/attachments/2?",
        "HEAD /notes/1/file?",
        "DELETE /api/v1/notes/1?permanent=true",
        "DELETE /api/v1/notes/1?%70ermanent=1",
        "DELETE /api/v1/notes/1/file?a=b&permanent=true",
        "DELETE /api/v1/auth/me?",
        "DELETE /api/v1/auth/me/avatar?",
        "GET /avatars/x?",
        "GET /files/x?",
        "PUT /uploads/x?",
        "POST /admin/notes/note/?",
        "POST /admin/accounts/user/7/delete/?",
    ],
)
def test_what_may_wait_for_the_storage(asked):
    assert routes.storage_requests(get_resolver()).search(asked)


@pytest.mark.parametrize(
    "asked",
    [
        "GET /api/v1/notes?",
        "GET /api/v1/notes/1?",
        "PUT /api/v1/notes/1?",
        "DELETE /api/v1/notes/1?",
        "GET /api/v1/notes/1/attachments?",
        "PATCH /api/v1/notes/1/attachments/2?",
        "DELETE /api/v1/notes/1/attachments/2?",
        "GET /api/v1/notes/1/display?",
        "GET /api/v1/search?q=/attachments/1",
        "GET /api/v1/search?q=DELETE%20/?permanent=true",
        "PATCH /api/v1/categories/notes/1/attachments/2?",
        "GET /api/v1/auth/me?",
        "GET /admin/notes/note/?",
        "POST /admin/login/?",
    ],
)
def test_what_waits_for_the_database_alone(asked):
    assert not routes.storage_requests(get_resolver()).search(asked)


def test_stopping_does_not_wait_for_an_upload(toy):
    with serving(toy) as port:
        connection = connect(port)
        head = f"POST /digest HTTP/1.1\r\nHost: x\r\nContent-Length: {20 * 2**20}\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 10)
        assert requests.get(f"http://127.0.0.1:{port}/environ", timeout=60).status_code == 200
    assert toy.read_failed.wait(TIMEOUT_SECONDS)
    connection.close()


def test_a_browser_may_read_what_the_bridge_refuses(toy):
    with serving(toy, max_body_bytes=10) as port:
        for origin, allowed in (("https://app.example.org", True), ("https://evil.example", False)):
            response = requests.post(
                f"http://127.0.0.1:{port}/digest", b"x" * 20, headers={"Origin": origin}, timeout=60
            )
            assert response.status_code == 413
            assert (response.headers.get("access-control-allow-origin") == origin) == allowed


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("::FFFF:cb00:7105", "203.0.113.5"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", "127.0.0.1"),
        ("x", "127.0.0.1"),
    ],
)
def test_an_address_has_one_form(toy, address, plain):
    with serving(toy, trusted_proxy=True) as port:
        head = f"GET /environ HTTP/1.1\r\nHost: x\r\nX-Real-IP: {address}\r\n\r\n"
        assert environ_of(port, head.encode())["REMOTE_ADDR"] == plain


def test_head_has_the_length_and_no_body(port):
    response = requests.head(f"http://127.0.0.1:{port}/environ", timeout=60)
    assert int(response.headers["content-length"]) > 100
    assert response.content == b""
    assert requests.head(f"http://127.0.0.1:{port}/pieces/5", timeout=60).content == b""


def test_a_streamed_response_arrives_whole(port, toy):
    response = requests.get(f"http://127.0.0.1:{port}/pieces/300", timeout=60)
    assert response.content == b"".join(b"%08d" % number * 8192 for number in range(300))
    assert toy.closed.wait(TIMEOUT_SECONDS)


def test_slow_readers_hold_no_thread(port):
    slow = [connect(port) for _ in range(8)]
    for connection in slow:
        connection.sendall(b"GET /forever HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.recv(100)
    for _ in range(5):
        assert requests.get(f"http://127.0.0.1:{port}/environ", timeout=60).status_code == 200
    for connection in slow:
        connection.close()


def test_a_reader_that_leaves_closes_the_response(port, toy):
    connection = connect(port)
    connection.sendall(b"GET /forever HTTP/1.1\r\nHost: x\r\n\r\n")
    connection.recv(100)
    connection.close()
    assert toy.closed.wait(TIMEOUT_SECONDS)


def test_an_exception_is_a_problem_without_its_text(port):
    response = requests.get(
        f"http://127.0.0.1:{port}/broken/before", headers={"X-Request-Id": "abc"}, timeout=60
    )
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.json()["request_id"] == response.headers["x-request-id"] == "abc"
    assert "before" not in response.text


def test_an_exception_in_the_middle_breaks_the_response_off(port):
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(f"http://127.0.0.1:{port}/broken/middle", timeout=60)
    assert requests.get(f"http://127.0.0.1:{port}/environ", timeout=60).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_limit_is_413_and_the_client_can_read_it(toy, chunked):
    with serving(toy, max_body_bytes=3 * 2**20) as port:
        body = b"x" * (wsgi_adapter.COLLECTED_BYTES + 2**20)  # so large that it would be streamed
        sent = (body[start : start + 65536] for start in range(0, len(body), 65536))
        response = requests.post(
            f"http://127.0.0.1:{port}/digest", sent if chunked else body, timeout=60
        )
        assert response.status_code == 413
        assert response.json()["code"] == "body_too_large"


def test_no_free_thread_in_time_is_503_with_retry_after(toy, monkeypatch):
    monkeypatch.setattr(wsgi_adapter, "QUEUE_SECONDS", 0.3)
    with serving(toy) as port:
        holding = [
            threading.Thread(target=requests.get, args=[f"http://127.0.0.1:{port}/hold"])
            for _ in range(2)
        ]
        for thread in holding:
            thread.start()
        for _ in holding:
            assert toy.held.acquire(timeout=60)
        response = requests.get(f"http://127.0.0.1:{port}/environ", timeout=60)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "5"
        assert response.json()["code"] == "overloaded"
        toy.release.set()
        for thread in holding:
            thread.join()
        assert requests.get(f"http://127.0.0.1:{port}/environ", timeout=60).status_code == 200


def environ_of(port: int, head: bytes) -> dict[str, str]:
    connection = connect(port)
    connection.sendall(head)
    status, _, body = read_response(connection)
    connection.close()
    assert status == 200
    environ: dict[str, str] = json.loads(body)
    return environ


def test_the_environment_follows_pep_3333(port):
    environ = environ_of(
        port,
        b"GET /environ/%C3%A9%2Fx?q=%C3%A9&a=1 HTTP/1.1\r\nHost: notes.example\r\n"
        b"Cookie: a=1\r\nCookie: b=2\r\nAccept: x\r\nAccept: y\r\nContent-Type: text/x\r\n\r\n",
    )
    assert environ["PATH_INFO"] == "/environ/é/x".encode().decode("latin-1")
    assert environ["QUERY_STRING"] == "q=%C3%A9&a=1"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["HTTP_ACCEPT"] == "x,y"
    assert environ["CONTENT_TYPE"] == "text/x"
    assert environ["CONTENT_LENGTH"] == "0"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"


FORGED = (
    b"GET /environ HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\n"
    b"X_Real_IP: 7.7.7.7\r\nX-Real-IP: 203.0.113.5\r\n\r\n"
)


def test_forged_addresses_are_not_believed(port):
    environ = environ_of(port, FORGED)
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["HTTP_X_REAL_IP"] == "203.0.113.5"


def test_a_trusted_proxy_says_the_address(toy):
    with serving(toy, trusted_proxy=True) as port:
        assert environ_of(port, FORGED)["REMOTE_ADDR"] == "203.0.113.5"
        nonsense = FORGED.replace(b"203.0.113.5", b"; drop")
        assert environ_of(port, nonsense)["REMOTE_ADDR"] == "127.0.0.1"


def test_keep_alive_survives_every_kind_of_request(port):
    with requests.Session() as session:
        for _ in range(3):
            for size in (0, 10, wsgi_adapter.COLLECTED_BYTES + 1):
                body = b"z" * size
                sent = session.post(f"http://127.0.0.1:{port}/digest", body, timeout=60)
                assert sent.content == described(body)
                ignored = session.post(f"http://127.0.0.1:{port}/ignore", body, timeout=60)
                assert ignored.status_code == 401

"""The server's side of HTTP: heads, trailers and what is no request at all."""

import json

import pytest

from cloudnotes.server import gunicorn_worker
from tests.cloudnotes.toy import connect, read_response, serving

pytestmark = pytest.mark.service


def test_trailers_do_not_become_headers(toy):
    with serving(toy, trusted_proxy=True) as port:
        connection = connect(port)
        connection.sendall(
            b"POST /environ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\nx\r\n0\r\nX-Real-IP: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n\r\n"
        )
        environ = json.loads(read_response(connection)[2])
        assert environ["REMOTE_ADDR"] == "127.0.0.1"
        assert "HTTP_X_FORWARDED_PROTO" not in environ
        connection.close()


def test_a_request_head_has_a_largest_size(port):
    connection = connect(port)
    connection.sendall(b"GET /environ HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 300_000)
    status, headers, body = read_response(connection)
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["code"] == "bad_request"
    connection.close()


def test_many_requests_on_one_connection_are_no_large_head(port):
    connection = connect(port)
    request = b"GET /ignore HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 4000 + b"\r\n\r\n"
    for _ in range(100):
        connection.sendall(request)
        assert read_response(connection)[0] == 401
    connection.close()


def test_half_a_head_does_not_stay_open(toy, monkeypatch):
    monkeypatch.setattr(gunicorn_worker, "HEAD_SECONDS", 0.3)
    with serving(toy) as port:
        connection = connect(port)
        connection.sendall(b"GET /environ HTTP/1.1\r\nHos")
        assert connection.recv(10) == b""
        connection.close()


@pytest.mark.parametrize(
    "head",
    [
        b"NONSENSE",
        b"GET / HTTP/1.1\r\nContent-Length: x",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        b"POST / HTTP/1.1\r\nContent-Length: -1",
    ],
)
def test_malformed_requests_are_problems_too(port, head):
    connection = connect(port)
    connection.sendall(head + b"\r\n\r\n")
    status, headers, body = read_response(connection)
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-content-type-options"] == "nosniff"
    assert json.loads(body)["request_id"] == headers["x-request-id"]
    connection.close()

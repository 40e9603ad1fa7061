"""How the client of S3 behaves towards a server that says nothing."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from notes.files import storage
from notes.files.s3 import BucketStorage, Pieces
from tests.ports import free_port

pytestmark = pytest.mark.service


@pytest.fixture
def silent():
    """Yield a bucket on a server that reads and never answers, and what it was sent."""
    port, heads, over = free_port(), [], threading.Event()
    listener = socket.create_server(("127.0.0.1", port))

    def listen(connection):
        with connection:
            heads.append(connection.recv(2**16).partition(b"\r\n\r\n")[0].lower())
            over.wait()

    def accept():
        while not over.is_set():
            connection, _ = listener.accept()
            threading.Thread(target=listen, args=[connection], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    bucket = BucketStorage(
        bucket_name="b",
        access_key="k",
        secret_key="s",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{port}",
        addressing_style="path",
    )
    yield bucket, heads
    over.set()
    socket.create_connection(("127.0.0.1", port)).close()
    listener.close()


def test_every_request_is_tried_twice_and_none_asks_first(silent):
    """A body that waits to be asked for (Expect) costs a second more each time."""
    bucket, heads = silent
    where = {"Bucket": "b", "Key": "k"}

    def put():
        writer = bucket.open_writer("k", on_parts=lambda _: None)
        writer.write(b"x")
        writer.finish()

    def put_part():
        body = Pieces([b"x"])
        bucket.client.upload_part(**where, UploadId="u", PartNumber=1, Body=body)

    requests = {
        b"put /b/k?": put_part,
        b"put /b/k ": put,
        b"head ": lambda: bucket.head("k"),
        b"delete ": lambda: bucket.remove("k"),
    }
    with ThreadPoolExecutor(len(requests)) as pool:
        outcomes = [pool.submit(ask) for ask in requests.values()]
    for outcome in outcomes:
        assert isinstance(outcome.exception(), storage.FAILURES)
    assert not any(b"\r\nexpect:" in head for head in heads)
    for begins in requests:
        assert sum(head.startswith(begins) for head in heads) == 2

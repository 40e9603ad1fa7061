"""Files as tests send and fetch them."""

import hashlib
import io

import requests
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from notes.files.objects import Receiver
from tests.conftest import client_of

NOTES = "/api/v1/notes"


def new_note(client, **fields):
    """Return the address of a new note."""
    note = client.post(NOTES, {"title": "t", **fields}, format="json").json()
    return f"{NOTES}/{note['id']}"


def add(client, url, content=b"hello", name="a.txt", **headers):
    upload = SimpleUploadedFile(name, content, "text/html")
    return client.post(f"{url}/attachments", {"file": upload}, format="multipart", **headers)


def replace(client, url, content, name="b.txt", **headers):
    upload = SimpleUploadedFile(name, content, "text/html")
    return client.put(url, {"file": upload}, format="multipart", **headers)


def path_of(address):
    return address.removeprefix("http://testserver")


def fetch(client, address, **headers):
    """Return status, headers and bytes of a file, over whatever storage."""
    answer = client.get(path_of(address), **headers)
    if answer.status_code == 302:
        sent_on = requests.get(answer.headers["Location"], timeout=60)
        return sent_on.status_code, sent_on.headers, sent_on.content
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return answer.status_code, answer.headers, content


def shown(anonymous_address):
    return fetch(client_of(None), anonymous_address)


def stored(content):
    """Store bytes as a form's file is stored and return their row, which nothing points at."""
    receiver = Receiver()
    receiver.write(content)
    return receiver.finish()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def image(file_format="PNG", size=(40, 30), **options):
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, file_format, **options)
    return file.getvalue()

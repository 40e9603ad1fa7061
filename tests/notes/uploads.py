"""Direct uploads as a client makes them."""

import requests

from tests.conftest import client_of
from tests.notes.files import path_of, sha256


def announce(client, url, content=b"direct", name="d.txt", **headers):
    body = {"name": name, "size": len(content), "sha256": sha256(content)}
    return client.post(f"{url}/attachments/uploads", body, format="json", **headers)


def send(address, content, headers):
    """PUT as a client does that knows nothing but what it was told."""
    if address.startswith("http://testserver"):
        fields = {
            "HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()
        }
        kind = fields.pop("HTTP_CONTENT_TYPE", "application/octet-stream")
        path = path_of(address)
        return (
            client_of(None).generic("PUT", path, content, content_type=kind, **fields).status_code
        )
    return requests.put(address, content, headers=headers, timeout=60).status_code


def send_parts(upload, content, numbers=None):
    for part in upload["parts"]:
        if numbers is None or part["number"] in numbers:
            piece = content[part["start"] : part["start"] + part["size"]]
            assert send(part["url"], piece, {}) == 200


def at(upload, url):
    return f"{url}/attachments/uploads/{upload['id']}"


def complete(client, url, upload):
    return client.post(f"{at(upload, url)}/complete")

"""``notes/{id}/display`` and what becomes of its links."""

import time

import pytest

from notes.files import storage
from notes.models import Note
from tests.notes.files import NOTES, add, image, new_note, path_of, shown

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = "http://testserver"


def display(client, url):
    return client.get(f"{url}/display").json()["content"]


@pytest.fixture
def url(as_alice):
    return new_note(as_alice)


def test_links_work_without_a_token_and_are_kept_stable(as_alice, url, stored_keys, monkeypatch):
    file = add(as_alice, url, image(), "p.png").json()
    text = f"![p]({path_of(file['url'])}) and <{file['url']}?inline=1>, [x](https://example.org)"
    as_alice.patch(url, {"content": text}, format="json")
    content = display(as_alice, url)
    first, second = (part.partition(end)[0] for part, end in zip(
        content.split(f"{ROOT}/files/")[1:], ")>", strict=True
    ))  # fmt: skip
    assert content.endswith(", [x](https://example.org)")
    for token in (first, second):
        status, headers, body = shown(f"{ROOT}/files/{token}")
        assert (status, body) == (200, image())
        assert headers["Content-Disposition"].startswith("inline")
        assert headers["Content-Type"] == "image/png"
    assert as_alice.get(url).json()["content"] == text
    # An editor that sends back what it was shown does not store what expires.
    as_alice.patch(url, {"content": content + "!"}, format="json")
    kept = as_alice.get(url).json()["content"]
    assert "/files/" not in kept
    assert kept.count(path_of(file["url"])) == 2
    assert kept.count("?inline=1") == 1
    now = time.time()
    monkeypatch.setattr("django.core.signing.time.time", lambda: now + 301)
    assert shown(f"{ROOT}/files/{first}")[0] == 404
    as_alice.patch(url, {"content": content}, format="json")  # hours later
    assert "/files/" not in as_alice.get(url).json()["content"]


@pytest.mark.parametrize("entrance", ["put", "sync", "edits"])
def test_every_entrance_keeps_links_stable(as_alice, url, entrance):
    file = add(as_alice, url).json()
    as_alice.patch(url, {"content": f"[f]({path_of(file['url'])})\n"}, format="json")
    content, number = display(as_alice, url), int(url.rpartition("/")[2])
    assert "/files/" in content
    version = as_alice.get(url).json()["version"]
    if entrance == "put":
        as_alice.put(url, {"title": "t", "content": content + "1"}, format="json")
    elif entrance == "sync":
        change = {"op": "update", "id": number, "base_version": version, "content": content + "1"}
        as_alice.post("/api/v1/sync", {"changes": [change]}, format="json")
    else:
        as_alice.post(f"{url}/edits", {"op": "append", "text": content}, format="json")
    note = Note.objects.get()
    assert note.version == version + 1
    assert "/files/" not in note.content


def test_files_of_other_notes_and_of_nobody_here(as_alice, as_carol, url):
    other = add(as_alice, new_note(as_alice)).json()["url"]
    theirs = add(as_carol, new_note(as_carol)).json()["url"]
    elsewhere = path_of(theirs).join(["https://example.org", ""])
    text = " ".join([other, theirs, elsewhere, f"{NOTES}/1/attachments/{'9' * 18}", f"{other}0"])
    as_alice.patch(url, {"content": text}, format="json")
    told = display(as_alice, url).split(" ")
    assert told[0].startswith(f"{ROOT}/files/")
    assert told[1:] == text.split(" ")[1:]


def test_code_is_left_as_it_is(as_alice, url):
    stable = path_of(add(as_alice, url).json()["url"])
    text = f"- ```\n  {stable}\n  ```\n- `{stable}` "
    as_alice.patch(url, {"content": text + stable}, format="json")
    content = display(as_alice, url)
    assert content.startswith(f"{text}{ROOT}/files/")
    signed = content.removeprefix(text)
    in_code = f"    {signed}\n\n{signed}"
    as_alice.patch(url, {"content": in_code}, format="json")
    assert as_alice.get(url).json()["content"] == f"    {signed}\n\n{ROOT}{stable}"


def test_a_removed_file_is_not_shown(as_alice, url):
    file = add(as_alice, url).json()
    as_alice.patch(url, {"content": file["url"]}, format="json")
    link = display(as_alice, url)
    as_alice.delete(path_of(file["url"]) + "?permanent=true")
    assert shown(link)[0] == 404
    assert display(as_alice, url) == file["url"]


def test_an_object_that_is_lost_is_404(as_alice, anonymous, url, stored_keys):
    file = add(as_alice, url).json()
    as_alice.patch(url, {"content": file["url"]}, format="json")
    link = display(as_alice, url)
    for key in stored_keys():
        storage.delete(key)
    assert shown(link)[0] == 404


def test_only_what_was_signed_here_is_shown_or_changed(as_alice, anonymous, url):
    file = add(as_alice, url).json()
    as_alice.patch(url, {"content": path_of(file["url"])}, format="json")
    link = display(as_alice, url)
    assert shown(link)[0] == 200
    for changed in (link[:-1], link + "x", f"{ROOT}/files/x", f"{ROOT}/files/" + "a" * 3000):
        assert anonymous.get(path_of(changed)).status_code == 404
        as_alice.patch(url, {"content": changed}, format="json")
        assert as_alice.get(url).json()["content"] == changed
    assert anonymous.post(path_of(link)).status_code == 405

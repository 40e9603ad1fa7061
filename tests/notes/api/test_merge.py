"""Stale writes with ``Prefer: merge``."""

import pytest
from django.utils import timezone

from accounts.actions import tokens
from notes.models import Note, Revision
from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db
NOTES = "/api/v1/notes"
TEXT = "one\ntwo\nthree\nfour\nfive\n"


@pytest.fixture
def url(as_alice):
    body = {"title": "t", "content": TEXT}
    return f"{NOTES}/{as_alice.post(NOTES, body, format='json').json()['id']}"


def merge(client, url, version, body, method="patch", prefer="merge"):
    return getattr(client, method)(
        url, body, format="json", HTTP_IF_MATCH=f'"{version}"', HTTP_PREFER=prefer
    )


@pytest.fixture
def other(alice, as_alice, url):
    """Somebody else has changed the second line meanwhile."""
    as_alice.patch(url, {"content": TEXT.replace("two", "TWO")}, format="json")
    return client_of(alice)


@pytest.mark.parametrize("prefer", ["merge", "MERGE", "return=representation, merge", "merge; x=y"])
def test_clean(other, url, prefer):
    mine = {"content": TEXT.replace("five", "FIVE")}
    response = merge(other, url, 1, mine, prefer=prefer)
    assert response.status_code == 200
    body = response.json()
    assert body["content"] == "one\nTWO\nthree\nfour\nFIVE\n"
    assert (body["merged"], body["version"]) == (True, 3)
    assert response.headers["Preference-Applied"] == "merge"
    assert [r.content for r in Revision.objects.order_by("version")] == [
        TEXT,
        TEXT.replace("two", "TWO"),
    ]
    assert other.get(f"{url}/revisions/3").json()["cause"] == "merge"


def test_overlapping(other, url):
    mine = {"title": "t", "content": TEXT.replace("two", "2")}
    response = merge(other, url, 1, mine, method="put")
    problem = response.json()
    assert (response.status_code, problem["code"]) == (409, "merge_conflict")
    assert problem["base"] == {"title": "t", "content": TEXT, "category": "", "tags": []}
    assert problem["yours"] == mine
    assert problem["current"] == other.get(url).json()
    assert problem["current"]["content"] == TEXT.replace("two", "TWO")
    assert Note.objects.get().version == 2


def test_title_and_category_merge_as_wholes(other, as_alice, url):
    as_alice.patch(url, {"category": "Work"}, format="json")
    body = merge(other, url, 1, {"title": "mine"}).json()
    assert (body["title"], body["category"], body["merged"]) == ("mine", "Work", True)
    for field, value in (("category", "Home"), ("title", "yours")):
        response = merge(other, url, 1, {field: value})
        assert (response.status_code, response.json()["code"]) == (409, "merge_conflict")
    body = merge(other, url, 1, {"title": "mine", "category": "Work"}).json()
    assert (body["merged"], body["version"]) == (True, 4)


def test_without_the_preference_a_stale_write_is_refused(other, url):
    for prefer in ("", "emerge", "return=minimal", "x; merge"):
        response = merge(other, url, 1, {"content": "x"}, prefer=prefer)
        assert response.status_code == 412


def test_a_fresh_write_needs_no_merge(other, url):
    response = merge(other, url, 2, {"content": "x"})
    assert (response.status_code, "merged" in response.json()) == (200, False)
    response = other.patch(
        url, {"content": "y"}, format="json", HTTP_IF_MATCH="*", HTTP_PREFER="merge"
    )
    assert response.status_code == 200


def test_without_the_base_in_the_history_a_person_decides(other, url):
    Revision.objects.all().delete()
    before = other.get(url).json()
    response = merge(other, url, 1, {"content": "x"})
    problem = response.json()
    assert (response.status_code, problem["code"]) == (409, "merge_conflict")
    assert (problem["base"], problem["yours"]) == (None, {"content": "x"})
    assert (problem["current"], other.get(url).json()) == (before, before)
    same = merge(other, url, 1, {"content": before["content"]})
    assert (same.status_code, same.json()["version"]) == (200, before["version"])
    assert merge(other, url, 77, {"content": "x"}).json()["code"] == "stale_version"


def test_the_tag_of_ones_own_write_is_never_stale(as_alice):
    """Saves that only add coalesce: the version of the first is no longer in the history."""
    made = as_alice.post("/api/v1/notes", {"title": "t", "content": "a\n"}, format="json")
    url = f"/api/v1/notes/{made.json()['id']}"
    as_alice.patch(url, {"content": "a\nb\n"}, format="json", HTTP_IF_MATCH=made["ETag"])
    assert not Revision.objects.exists()
    header = {"HTTP_IF_MATCH": made["ETag"], "HTTP_PREFER": "merge"}
    response = as_alice.patch(url, {"content": "a\nc\n"}, format="json", **header)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (409, "merge_conflict")
    assert (problem["base"], problem["current"]["content"]) == (None, "a\nb\n")


def test_a_file_that_came_meanwhile_is_in_nobodys_way(as_alice, other, url, tmp_path):
    (tmp_path / "f").write_bytes(b"x")
    with (tmp_path / "f").open("rb") as file:
        as_alice.put(f"{url}/file", {"file": file}, format="multipart")
    response = merge(other, url, 2, {"content": "x"})
    told = response.json()
    assert (response.status_code, told["merged"], told["content"]) == (200, True, "x")
    assert told["file"]["name"] == "f"


def test_no_base_from_outside_of_a_tokens_category(as_alice, alice, other, url):
    as_alice.patch(url, {"title": "guess", "category": "Private"}, format="json")
    as_alice.patch(url, {"content": "public\n", "category": "Work"}, format="json")
    _, secret = tokens.create_token(
        user=alice, password=PASSWORD, name="w", scopes=["notes:write"], category="Work",
        expires_at=None, now=timezone.now(),
    )  # fmt: skip
    agent = client_of(None)
    agent.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    for version in (1, 2, 3):
        response = merge(agent, url, version, {"title": "x", "content": "y\n"})
        assert (response.status_code, response.json()["code"]) == (409, "merge_conflict")
        assert response.json()["base"] is None
    pk = int(url.rpartition("/")[2])
    for title in ("guess", "another"):  # what it said in version 3, and what it did not
        update = {"op": "update", "id": pk, "base_version": 2, "title": title}
        answer = agent.post("/api/v1/sync", {"changes": [update]}, format="json").json()
        assert answer["results"][0]["status"] == ("applied" if title == "guess" else "conflict")
    as_alice.patch(url, {"title": "now"}, format="json")
    update = {"op": "update", "id": pk, "base_version": 2, "title": "guess"}
    answer = agent.post("/api/v1/sync", {"changes": [update]}, format="json").json()
    assert answer["results"][0]["status"] == "conflict"


def test_a_merge_that_grows_too_large_is_refused(as_alice, other, url):
    half = "x" * 2**19
    as_alice.patch(url, {"content": f"{half}\n{TEXT}"}, format="json")
    response = merge(other, url, 1, {"content": f"{TEXT}{half}\n"})
    assert (response.status_code, response.json()["code"]) == (400, "max_bytes")

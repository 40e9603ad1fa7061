"""``notes/{id}/related``: notes that share tags or rare words."""

import pytest

from tests.conftest import PASSWORD, client_of

pytestmark = pytest.mark.django_db
NOTES = "/api/v1/notes"


def create(client, title="", content="", **fields):
    answer = client.post(NOTES, {"title": title, "content": content, **fields}, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()["id"]


def related(client, note, **parameters):
    answer = client.get(f"{NOTES}/{note}/related", parameters)
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


def test_shared_tags_and_rare_words(as_alice, as_carol):
    for number in range(60):
        create(as_alice, f"Diary {number}", "Something common happened today.")
    note = create(as_alice, "Sourdough", "Something about hydration.", tags=["Baking", "food"])
    both = create(as_alice, "Bread", "The hydration of a sourdough", tags=["baking"])
    word = create(as_alice, "Sourdough again", "more")
    tag = create(as_alice, "Soup", "carrots", tags=["food"])
    create(as_carol, "Sourdough", "hydration", tags=["baking"])
    found = related(as_alice, note)
    assert [one["id"] for one in found] == [both, tag, word]
    assert (found[0]["shared_tags"], found[0]["shared_words"]) == (
        ["Baking"],
        ["hydration", "sourdough"],
    )
    assert found[1]["shared_words"] == []
    assert "content" not in found[0]
    assert [one["id"] for one in related(as_alice, note, limit=1)] == [both]
    as_alice.delete(f"{NOTES}/{both}")
    assert [one["id"] for one in related(as_alice, note)] == [tag, word]
    assert as_alice.get(f"{NOTES}/{both}/related").status_code == 404


def test_nothing_to_go_by(as_alice):
    note = create(as_alice, "", "")
    create(as_alice, "", "")
    assert related(as_alice, note) == []


@pytest.mark.parametrize("parameters", [{"limit": 0}, {"limit": 21}, {"q": "x"}])
def test_parameters(as_alice, parameters):
    note = create(as_alice)
    assert as_alice.get(f"{NOTES}/{note}/related", parameters).status_code == 400


def test_a_token_of_a_category_hears_of_no_others(as_alice):
    note = create(as_alice, "quince", category="Work")
    inside = create(as_alice, "quince", category="Work/Plans")
    outside = create(as_alice, "quince", category="Home")
    sent = {"name": "t", "password": PASSWORD, "scopes": ["notes:read"], "category": "Work"}
    token = as_alice.post("/api/v1/auth/tokens", sent, format="json").json()["token"]
    limited = client_of(None)
    limited.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert [one["id"] for one in related(limited, note)] == [inside]
    assert [one["id"] for one in related(as_alice, note)] == [outside, inside]
    assert limited.get(f"{NOTES}/{outside}/related").status_code == 404


def test_queries(as_alice, django_assert_num_queries):
    notes = [create(as_alice, "quince", "quince jelly", tags=["food"]) for _ in range(3)]
    related(as_alice, notes[0])
    with django_assert_num_queries(6):  # who asks; note; is there news; its words; others; notes
        related(as_alice, notes[0])

"""Tagged notes as tests make and count them."""

from notes.models import Note, Tagging

NOTES, TAGS = "/api/v1/notes", "/api/v1/tags"


def create(client, *names, **fields):
    sent = {"title": "t", "tags": names, **fields}
    answer = client.post(NOTES, sent, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()


def patch(client, pk, **fields):
    headers = {name: fields.pop(name) for name in [*fields] if name.startswith("HTTP_")}
    return client.patch(f"{NOTES}/{pk}", fields, format="json", **headers)


def counted(client):
    return {tag["name"]: tag["notes"] for tag in client.get(TAGS).json()["results"]}


def listed(client, query):
    answer = client.get(f"{NOTES}?{query}")
    assert answer.status_code == 200, answer.content
    return {note["id"] for note in answer.json()["results"]}


def assert_taggings_follow():
    for note in Note.objects.all():
        assert sorted(Tagging.objects.filter(note=note).values_list("name", flat=True)) == sorted(
            note.tags.split("\n") if note.tags else []
        )

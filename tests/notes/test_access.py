"""One truth table: what a filter shows and what a question answers is the same."""

import pytest
from django.utils import timezone

from accounts.callers import Caller
from notes import access
from notes.actions import notes as actions
from notes.models import Note

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("person", "may"),
    [("alice", {"read", "edit", "delete"}), ("bob", set()), ("carol", set())],
)
def test_visible_to_and_can_agree(alice, bob, carol, person, may):
    cast = {"alice": alice, "bob": bob, "carol": carol}
    note = actions.create_note(title="t", content="", by=Caller(alice), now=timezone.now())
    caller = Caller(cast[person])
    for verb in ("read", "edit", "delete"):
        assert access.can(caller, verb, note) == (verb in may)
    assert (note in Note.objects.visible_to(caller)) == access.can(caller, "read", note)
    assert (caller.pk in access.audience(note)) == access.can(caller, "read", note)

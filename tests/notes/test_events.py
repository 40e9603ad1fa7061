import logging

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.callers import Caller
from notes import events
from notes.actions import notes as actions

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_is_told_after_the_commit_and_holds_no_text(alice, caplog):
    caplog.set_level(logging.INFO, "cloudnotes.events")
    with transaction.atomic():
        note = actions.create_note(
            title="SECRET", content="SECRET", by=Caller(alice), now=timezone.now()
        )
        assert not caplog.records
    (record,) = caplog.records
    assert (record.event, record.note, record.by) == ("note_created", note.pk, alice.pk)
    assert "SECRET" not in str(record.__dict__)


def test_what_is_rolled_back_is_not_told(alice, caplog):
    caplog.set_level(logging.INFO, "cloudnotes.events")
    with transaction.atomic():
        actions.create_note(title="t", content="", by=Caller(alice), now=timezone.now())
        transaction.set_rollback(True)
    assert not caplog.records


def test_an_event_outside_a_transaction_is_a_bug(alice):
    note = actions.create_note(title="t", content="", by=Caller(alice), now=timezone.now())
    with pytest.raises(RuntimeError):
        events.record("note_updated", note=note, by=Caller(alice))

"""The exception handler beyond what the endpoints' own tests show."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from rest_framework import serializers

from accounts.models import Session, User
from cloudnotes.api import errors

pytestmark = pytest.mark.django_db


def test_a_violated_constraint_is_found_by_name_and_by_columns(alice):
    with pytest.raises(IntegrityError) as unique:
        User.objects.create_user("ALICE@example.org", "x")
    described = errors.describe(unique.value)
    assert (described["status"], described["code"]) == (400, "email_taken")
    assert described["errors"][0]["field"] == "email"


def test_a_check_of_the_database_speaks_http(alice):
    alice.username_folded = "a@b"
    with pytest.raises(IntegrityError) as check:
        alice.save(update_fields=["username_folded"])
    assert errors.describe(check.value)["code"] == "invalid_username"


def test_an_unknown_integrity_error_is_a_bug():
    assert errors.describe(IntegrityError("NOT NULL constraint failed: a.b")) is None


def test_full_clean_speaks_http():
    described = errors.describe(ValidationError({"title": ["Too long."]}))
    assert (described["status"], described["code"]) == (400, "invalid")


def test_nested_errors_are_flat_with_dotted_names():
    class Inner(serializers.Serializer):
        number = serializers.IntegerField()

    class Outer(serializers.Serializer):
        inner = Inner()
        many = serializers.ListField(child=serializers.IntegerField())

    given = Outer(data={"inner": {"number": "x"}, "many": [1, "y"]})
    with pytest.raises(serializers.ValidationError) as invalid:
        given.is_valid(raise_exception=True)
    described = errors.describe(invalid.value)
    assert [entry["field"] for entry in described["errors"]] == ["inner.number", "many.1"]
    assert {entry["code"] for entry in described["errors"]} == {"invalid"}


@pytest.mark.django_db(transaction=True)
def test_writing_for_an_account_that_has_just_gone_is_409(alice):
    pk = alice.pk
    User.objects.filter(pk=pk).delete()
    with pytest.raises(IntegrityError) as gone:
        Session.objects.create(user_id=pk, expires_at="2030-01-01T00:00:00Z")
    assert errors.describe(gone.value)["status"] == 409

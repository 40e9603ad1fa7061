"""``contacts``: list and search, create, read, replace, change, delete; birthdays."""

import datetime as dt
from typing import Any, ClassVar

from django.core.validators import MaxLengthValidator
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import address_book
from accounts.actions import contacts as contact_actions
from accounts.api.fields import LineField
from accounts.callers import get_user
from accounts.models import Contact
from accounts.models.contacts import (
    ContactQuerySet,
    next_birthday,
    one_line,
    phone_number,
)
from cloudnotes.api.location import location
from cloudnotes.api.validation import InputSerializer, validate
from cloudnotes.api.views import GenericAPIView

Birthday = tuple[dt.date | None, int | None]
BIRTHDAY = "^([0-9]{4}|-)-[0-9]{2}-[0-9]{2}$"
MAX_SEARCH = 200
YEARS = (1900, 2999)


@extend_schema_field({"type": "string", "pattern": BIRTHDAY, "maxLength": 10})
class BirthdayField(serializers.Field):  # type: ignore[type-arg]  # not generic at run time
    """A date such as ``1985-04-12``, or without its year ``--04-12``.

    Its value is the ``birthday`` and the ``birthday_key`` of a contact.
    """

    def to_internal_value(self, data: Any) -> Birthday:
        if isinstance(data, str) and data.startswith("--"):
            key = address_book.read_month_day(data)
            if key is None:
                raise serializers.ValidationError(
                    "There is no such day. Write --MM-DD, or YYYY-MM-DD.", code="invalid"
                )
            return None, key
        day = serializers.DateField().run_validation(data)
        return day, address_book.key_of(day)

    def to_representation(self, value: Birthday) -> str | None:
        return address_book.show_birthday(*value)


class EntrySerializer(serializers.Serializer[Any]):
    """One of several addresses or numbers; the label is a word such as `work`, or ''."""

    label = serializers.CharField()  # type: ignore[assignment]  # DRF has a label of its own
    value = serializers.CharField()


class ContactSerializer(serializers.ModelSerializer[Contact]):
    """A contact as it is read."""

    email = serializers.CharField(read_only=True)  # '' is no valid e-mail address in a schema
    birthday = serializers.SerializerMethodField()
    other_emails = EntrySerializer(many=True, read_only=True)
    other_phones = EntrySerializer(many=True, read_only=True)
    addresses = EntrySerializer(many=True, read_only=True)

    class Meta:
        model = Contact
        fields: tuple[str, ...] = (
            "id",
            "first_name",
            "last_name",
            "company",
            "job_title",
            "email",
            "other_emails",
            "phone",
            "other_phones",
            "addresses",
            "url",
            "birthday",
            "notes",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    @extend_schema_field({"type": ["string", "null"], "pattern": BIRTHDAY})
    def get_birthday(self, contact: Contact) -> str | None:
        return address_book.show_birthday(contact.birthday, contact.birthday_key)


class PhoneField(LineField):
    """A phone number as people write it; dashes of all kinds become ``-``."""

    def __init__(self, **options: Any) -> None:
        validators = [MaxLengthValidator(address_book.MAX_PHONE), phone_number]
        super().__init__(validators=validators, **options)

    def to_internal_value(self, data: Any) -> str:
        return address_book.clean_phone(super().to_internal_value(data))


class PostalField(LineField):
    """A postal address in lines; empty ones are left out."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        lines = address_book.LINE_BREAKS.split(text)
        for line in filter(None, lines):
            one_line(line.replace("\t", " "))
        return address_book.clean_lines(text)


class EntryWriteSerializer(InputSerializer):
    """Base of one of several addresses or numbers: a value, and a label that may be ''."""

    label = LineField(  # type: ignore[assignment]  # DRF has a label of its own
        max_length=address_book.MAX_LABEL, validators=[one_line]
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        # A PATCH makes all members optional, also those of what it replaces.
        if not attrs.get("value"):
            raise serializers.ValidationError({"value": ["Send a value."]}, code="required")
        return {"label": "", **attrs}


class EmailEntrySerializer(EntryWriteSerializer):
    """One of several e-mail addresses."""

    value = serializers.EmailField(max_length=address_book.MAX_EMAIL, validators=[one_line])


class PhoneEntrySerializer(EntryWriteSerializer):
    """One of several phone numbers."""

    value = PhoneField()


class AddressEntrySerializer(EntryWriteSerializer):
    """A postal address."""

    value = PostalField(max_length=address_book.MAX_ADDRESS)


class EntriesField(serializers.ListField):
    """Addresses or numbers besides the first, default none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=address_book.MAX_ENTRIES, default=list, **options)


class ContactWriteSerializer(InputSerializer):
    """A contact as it is written: with a first name, a last name or an e-mail address at least."""

    first_name = LineField(max_length=address_book.MAX_NAME, validators=[one_line])
    last_name = LineField(max_length=address_book.MAX_NAME, validators=[one_line])
    company = LineField(max_length=address_book.MAX_LINE, validators=[one_line])
    job_title = LineField(max_length=address_book.MAX_LINE, validators=[one_line])
    email = serializers.EmailField(
        max_length=address_book.MAX_EMAIL, allow_blank=True, default="", validators=[one_line]
    )
    other_emails = EntriesField(child=EmailEntrySerializer())
    phone = PhoneField()
    other_phones = EntriesField(child=PhoneEntrySerializer())
    addresses = EntriesField(child=AddressEntrySerializer())
    url = LineField(max_length=address_book.MAX_URL, validators=[one_line])
    birthday = BirthdayField(allow_null=True, default=None)
    notes = LineField(max_length=address_book.MAX_NOTES, trim_whitespace=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "birthday" in attrs:
            attrs["birthday"], attrs["birthday_key"] = attrs["birthday"] or (None, None)
        return attrs


class BirthdaySerializer(ContactSerializer):
    """A contact with its next birthday and the ``age`` that it makes, null without a year."""

    next_birthday = serializers.SerializerMethodField()
    age = serializers.SerializerMethodField()

    class Meta(ContactSerializer.Meta):
        fields = (*ContactSerializer.Meta.fields, "next_birthday", "age")
        read_only_fields = fields

    def get_next_birthday(self, contact: Any) -> dt.date:
        return next_birthday(contact.upcoming, self.context["today"])

    def get_age(self, contact: Any) -> int | None:
        if contact.birthday is None:
            return None
        return self.get_next_birthday(contact).year - int(contact.birthday.year)


class ContactListSerializer(InputSerializer):
    """Which contacts to list."""

    q = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        max_length=MAX_SEARCH,
        help_text="Only contacts with all these words in a name, the company, an address or a "
        "number, in whatever order and case and without regard to accents; or a phone number by "
        "its digits.",
    )


class BirthdaysSerializer(InputSerializer):
    """Which birthdays to list."""

    days = serializers.IntegerField(
        min_value=1, max_value=366, default=7, help_text="How many days after today to look at."
    )
    today = serializers.DateField(
        required=False, help_text="The date where the client is; without it the date in UTC."
    )

    def validate_today(self, today: dt.date) -> dt.date:
        if not YEARS[0] <= today.year <= YEARS[1]:
            raise serializers.ValidationError(
                f"Send a date of the years {YEARS[0]} to {YEARS[1]}.", code="invalid"
            )
        return today


class ContactViewSet(viewsets.ViewSetMixin, GenericAPIView[Contact]):
    """The contacts that the caller may see."""

    serializer_class = ContactSerializer
    queryset = Contact.objects.none()
    scopes: ClassVar = {"GET": "account:read"}
    query_serializers: ClassVar = {"list": ContactListSerializer}
    keyset = "updated_at"
    cursor_scope = ("contacts",)
    max_json_bytes = 2**19  # 35,000 characters may need twelve bytes each when escaped

    def get_queryset(self) -> ContactQuerySet:
        return Contact.objects.visible_to(get_user(self.request))

    def list(self, request: Request) -> Response:
        """List contacts, the last edited first."""
        page = self.paginate_queryset(self.get_queryset().matching(self.query.get("q", "")))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(request=ContactWriteSerializer, responses={201: ContactSerializer})
    def create(self, request: Request) -> Response:
        """Write a new contact."""
        serializer = ContactWriteSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        contact = contact_actions.create_contact(
            owner=get_user(request), fields=serializer.validated_data, now=timezone.now()
        )
        payload = self.get_serializer(contact).data
        return Response(payload, status=201, headers={"Location": location(request, contact.pk)})

    def retrieve(self, request: Request, pk: int) -> Response:
        """Read one contact."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=ContactWriteSerializer, responses={200: ContactSerializer})
    def update(self, request: Request, pk: int) -> Response:
        """Replace all fields; what is not sent becomes empty."""
        return self._write(request)

    @extend_schema(request=ContactWriteSerializer(partial=True), responses={200: ContactSerializer})
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change what is sent and leave the rest."""
        return self._write(request, partial=True)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a contact."""
        contact_actions.delete_contact(contact=self.get_object())
        return Response(status=204)

    def _write(self, request: Request, *, partial: bool = False) -> Response:
        contact = self.get_object()
        shown = self.get_serializer(contact).data
        changes = validate(ContactWriteSerializer, request.data, partial=partial, shown=shown)
        contact = contact_actions.update_contact(
            contact=contact, changes=changes, now=timezone.now()
        )
        return Response(self.get_serializer(contact).data)


class BirthdaysView(GenericAPIView[Contact]):
    """The birthdays that are next."""

    serializer_class = BirthdaySerializer
    queryset = Contact.objects.none()
    scopes: ClassVar = {"GET": "account:read"}
    query_serializers: ClassVar = {"GET": BirthdaysSerializer}
    keyset = "upcoming"
    ascending = True
    cursor_scope: tuple[str, ...] = ()

    def get_queryset(self) -> ContactQuerySet:
        return Contact.objects.visible_to(get_user(self.request))

    @extend_schema(
        operation_id="contacts_birthdays_list",
        responses=BirthdaySerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """List the contacts whose birthday is today or within the days after it, the next first.

        A birthday on 29 February is on that day in leap years and on 28 February in the others.
        A `cursor` is good for the `today` that it was given out for: send the same one with each
        page.
        """
        today = self.query.get("today") or timezone.now().date()
        self.cursor_scope = (today.isoformat(),)
        rows = self.get_queryset().with_birthday_within(today, self.query["days"])
        birthdays = BirthdaySerializer(
            self.paginate_queryset(rows), many=True, context={"today": today}
        )
        return self.get_paginated_response(birthdays.data)

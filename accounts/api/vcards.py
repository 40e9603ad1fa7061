"""``contacts/export`` and ``contacts/import``: contacts as vCards."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import IO, Any, ClassVar

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse, QueryDict, StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actions import contacts as contact_actions
from accounts.callers import get_user
from accounts.idempotency import once
from accounts.models import Contact
from accounts.vcards.cards import Card, Entry
from accounts.vcards.writing import write
from cloudnotes.api.validation import InputSerializer, validate
from cloudnotes.api.views import APIView

FORM_BYTES = 64 * 2**10  # allowed for the form around the file
EXPORT_BATCH_SIZE = 100
EXAMPLE = "BEGIN:VCARD\nVERSION:4.0\nFN:Mary Doe\nN:Doe;Mary;;;\nBDAY:19850412\nEND:VCARD\n"


class SkippedSerializer(serializers.Serializer[Any]):
    """A card that was not imported; ``card`` counts from 0."""

    card = serializers.IntegerField()
    reason = serializers.CharField()


class LeftOutSerializer(serializers.Serializer[Any]):
    """A property of a card that was not imported, or not whole; '' for what has no name."""

    property = serializers.CharField()
    reason = serializers.CharField()


class NoticeSerializer(serializers.Serializer[Any]):
    """What of a person was not imported; ``card`` counts from 0."""

    card = serializers.IntegerField()
    name = serializers.CharField()
    notice = serializers.CharField()
    left_out = LeftOutSerializer(many=True)


class ImportSerializer(serializers.Serializer[Any]):
    """What became of the cards of a file."""

    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    skipped = SkippedSerializer(many=True)
    notices = NoticeSerializer(many=True)


class CardsSerializer(InputSerializer):
    """A file of vCards in a multipart form."""

    file = serializers.FileField(allow_empty_file=True, max_length=1000)


class VCardParser(BaseParser):
    """vCards as ``{"body": …}``: at most 20 MiB (413)."""

    media_type = "text/vcard"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        _refuse_above(settings.MAX_VCARD_BYTES, (parser_context or {})["request"])
        return {"body": stream.read(settings.MAX_VCARD_BYTES)}


class OldVCardParser(VCardParser):
    """The same, by the name that was usual before RFC 6350."""

    media_type = "text/x-vcard"


class FormParser(MultiPartParser):
    """A multipart form with a file of at most 20 MiB (413)."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        _refuse_above(settings.MAX_VCARD_BYTES + FORM_BYTES, (parser_context or {})["request"])
        return super().parse(stream, media_type, parser_context)


class ExportView(APIView):
    """All contacts as one file."""

    scopes: ClassVar = {"GET": "account:read"}

    @extend_schema(
        operation_id="contacts_export", responses={(200, "text/vcard"): OpenApiTypes.STR}
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Download all contacts as vCards 4.0 (RFC 6350)."""
        batches = Contact.objects.visible_to(get_user(request)).in_batches(EXPORT_BATCH_SIZE)
        return StreamingHttpResponse(
            _written(batches),
            content_type="text/vcard; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="contacts.vcf"'},
        )


class ImportView(APIView):
    """Contacts from a file."""

    parser_classes = (VCardParser, OldVCardParser, FormParser)
    keeps_own_answers = True  # a body may be larger than what is kept in memory for a key

    @extend_schema(
        operation_id="contacts_import",
        request={
            "text/vcard": OpenApiTypes.STR,
            "text/x-vcard": OpenApiTypes.STR,
            "multipart/form-data": CardsSerializer,
        },
        responses={200: ImportSerializer},
        examples=[
            OpenApiExample("One card", EXAMPLE, request_only=True, media_type="text/vcard"),
        ],
    )
    def post(self, request: Request) -> HttpResponse:
        """Import vCards 2.1, 3.0 or 4.0: at most 20 MiB and 2,000 cards.

        A card updates the contact with its UID, so importing a file again changes nothing. What of
        a card a contact cannot hold, such as a picture, is named in `notices`, each with the
        property and the reason. A card that nothing names is listed in `skipped`.
        """
        body = _read_body(request)

        def import_contacts() -> Response:
            report = contact_actions.import_contacts(
                owner=get_user(request), body=body, now=timezone.now()
            )
            return Response(ImportSerializer(asdict(report)).data)

        return once(self, said=hashlib.sha256(body).hexdigest(), ask=import_contacts)


def _refuse_above(max_bytes: int, request: Request) -> None:
    if int(request.META.get("CONTENT_LENGTH") or 0) > max_bytes:
        raise RequestDataTooBig  # before the body is read


def _read_body(request: Request) -> bytes:
    """Return the vCards of a request; b'' without a body, for which DRF calls no parser."""
    if not isinstance(request.data, QueryDict):
        body: bytes = request.data.get("body", b"")
        return body
    file = validate(CardsSerializer, request.data)["file"]
    if file.size > settings.MAX_VCARD_BYTES:
        raise RequestDataTooBig
    content: bytes = file.read()
    return content


def _written(batches: Iterator[list[Contact]]) -> Iterator[str]:
    for batch in batches:
        yield "".join(write(_card(contact)) for contact in batch)


def _card(contact: Contact) -> Card:
    other_emails, other_phones, addresses = (
        tuple(Entry(entry["label"], entry["value"]) for entry in entries)
        for entries in (contact.other_emails, contact.other_phones, contact.addresses)
    )
    return Card(
        first_name=contact.first_name,
        last_name=contact.last_name,
        email=contact.email,
        phone=contact.phone,
        uid=contact.uid,
        birthday=contact.birthday,
        month_day=None if contact.birthday else contact.birthday_key,
        notes=contact.notes,
        company=contact.company,
        job_title=contact.job_title,
        url=contact.url,
        other_emails=other_emails,
        other_phones=other_phones,
        addresses=addresses,
    )

"""``searches``: searches saved under a name, and the notes that they find."""

from typing import ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.callers import get_caller
from accounts.identifiers import fold
from cloudnotes.api.location import location
from cloudnotes.api.validation import InputSerializer, validate
from cloudnotes.api.views import GenericAPIView
from notes.actions import saved_searches
from notes.api.fields import TextField
from notes.api.permissions import WRITING_SCOPES
from notes.api.search import FoundNotesSerializer, PageSerializer, find
from notes.models import SavedSearch
from notes.models.saved_searches import MAX_FOLDED_LENGTH, MAX_NAME_LENGTH, SavedSearchQuerySet
from notes.search import grammar


class SavedSearchSerializer(serializers.ModelSerializer[SavedSearch]):
    """A saved search as it is read."""

    class Meta:
        model = SavedSearch
        fields = ("id", "name", "query", "created_at", "updated_at")
        read_only_fields = fields


class SavedSearchWriteSerializer(InputSerializer):
    """A saved search as it is written; a query that is broken is refused with its position."""

    name = serializers.CharField(max_length=MAX_NAME_LENGTH)
    query = TextField(max_length=grammar.MAX_QUERY_LENGTH)

    def validate_name(self, name: str) -> str:
        if len(fold(name)) > MAX_FOLDED_LENGTH:
            raise serializers.ValidationError("This name is too long.", code="max_length")
        return name

    def validate_query(self, query: str) -> str:
        grammar.parse(query)
        return query


class SavedSearchViewSet(viewsets.ViewSetMixin, GenericAPIView[SavedSearch]):
    """The caller's saved searches."""

    scopes: ClassVar = WRITING_SCOPES
    query_serializers: ClassVar = {"notes": PageSerializer}
    serializer_class = SavedSearchSerializer
    queryset = SavedSearch.objects.none()
    keyset = "created_at"
    problems: ClassVar = {409: "There is one of this name, or there are too many."}

    def get_queryset(self) -> SavedSearchQuerySet:
        return SavedSearch.objects.visible_to(get_caller(self.request))

    @extend_schema(responses={200: SavedSearchSerializer(many=True)})
    def list(self, request: Request) -> Response:
        """List saved searches, the last saved first."""
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(SavedSearchSerializer(page, many=True).data)

    @extend_schema(request=SavedSearchWriteSerializer, responses={201: SavedSearchSerializer})
    def create(self, request: Request) -> Response:
        """Save a search."""
        caller = get_caller(request)
        if caller.category:
            raise PermissionDenied
        validated = validate(SavedSearchWriteSerializer, request.data)
        now = timezone.now()
        search = saved_searches.save_search(**validated, by=caller, now=now)
        payload = SavedSearchSerializer(search).data
        headers = {"Location": location(request, search.pk)}
        return Response(payload, status=201, headers=headers)

    @extend_schema(responses={200: SavedSearchSerializer})
    def retrieve(self, request: Request, pk: int) -> Response:
        """Read one saved search."""
        return Response(SavedSearchSerializer(self.get_object()).data)

    @extend_schema(
        request=SavedSearchWriteSerializer(partial=True), responses={200: SavedSearchSerializer}
    )
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change what is sent of a saved search."""
        search = self.get_object()
        shown = SavedSearchSerializer(search).data
        changes = validate(SavedSearchWriteSerializer, request.data, partial=True, shown=shown)
        search = saved_searches.change_search(search=search, changes=changes, now=timezone.now())
        return Response(SavedSearchSerializer(search).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Forget a saved search; the notes stay."""
        saved_searches.delete_search(search=self.get_object())
        return Response(status=204)

    @extend_schema(responses={200: FoundNotesSerializer})
    def notes(self, request: Request, pk: int) -> Response:
        """Find notes by a saved search, as ``search`` does."""
        return find(request, self.get_object().query, **self.query)

"""Base classes of the views of the API: what a view does not take is refused by name."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from django.db.models import Model
from rest_framework import generics, serializers, views
from rest_framework.request import Request

from cloudnotes.api.pagination import PARAMETERS
from cloudnotes.api.validation import InputSerializer, repeated, unknown, validate

Row = TypeVar("Row", bound=Model)


class Strict:
    """Mixin of all views: validates the query, and refuses a body where none is taken.

    ``query_serializers`` has what a query may hold, by method, or by action in view sets; it is in
    the API's description too. The validated query is ``self.query``. Lists (views with a
    ``keyset``) also take the parameters of pages. ``bodiless`` names the methods or actions that
    take no body, of those that change something. ``delete_takes`` is the serializer of the body of
    DELETE in the few views where it has one.
    """

    query_serializers: ClassVar[Mapping[str, type[InputSerializer]]] = {}
    bodiless: ClassVar[tuple[str, ...]] = ("DELETE", "destroy")
    delete_takes: ClassVar[type[InputSerializer] | None] = None
    query: dict[str, Any]
    request: Any

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # type: ignore[misc]  # that of a DRF view
        # OPTIONS takes nothing, and other methods that the view does not have are 405.
        if request.method == "OPTIONS" or not hasattr(self, str(request.method).lower()):
            return
        takes_body = request.method == "DELETE" and self.delete_takes
        if self.handler_name in self.bodiless and not takes_body and request.data:
            names = request.data if isinstance(request.data, Mapping) else {"": None}
            raise serializers.ValidationError({n: [unknown("field", n, ())] for n in names})
        self.query = self._read_query(request)

    @property
    def handler_name(self) -> str:
        """The action of a view set, or the method: that under which the view declares things."""
        method = "GET" if self.request.method == "HEAD" else self.request.method
        return getattr(self, "action", None) or method or "GET"

    def get_query_serializer(self) -> type[InputSerializer] | None:
        """Return the serializer of the query, None if there is none. Used by the description."""
        return self.query_serializers.get(self.handler_name)

    def _read_query(self, request: Request) -> dict[str, Any]:
        serializer_class = self.get_query_serializer()
        fields = serializer_class().fields if serializer_class else {}
        takes_pages = self.handler_name in ("GET", "list") and hasattr(self, "keyset")
        paging = PARAMETERS if takes_pages else ()
        errors = {}
        for name in request.query_params:
            is_list = isinstance(fields.get(name), serializers.ListField)
            if name not in fields and name not in paging:
                errors[name] = unknown("parameter", name, {*fields, *paging})
            elif len(request.query_params.getlist(name)) > 1 and not is_list:
                errors[name] = repeated()
        if errors:
            raise serializers.ValidationError({name: [error] for name, error in errors.items()})
        if serializer_class is None:
            return {}
        params = request.query_params
        data = {
            name: params.getlist(name) if isinstance(field, serializers.ListField) else params[name]
            for name, field in fields.items()
            if name in params
        }
        return validate(serializer_class, data)


class APIView(Strict, views.APIView):
    """DRF's view."""


class GenericAPIView(Strict, generics.GenericAPIView[Row]):
    """DRF's view of rows."""

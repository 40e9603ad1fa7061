"""Validated input of the views."""

from typing import Any

from rest_framework import serializers


def validate(
    serializer_class: type[serializers.Serializer[Any]], data: Any, *, partial: bool = False
) -> dict[str, Any]:
    """Validate the body or the query of a request and return it. Raises DRF's ValidationError."""
    serializer = serializer_class(data=data, partial=partial)
    serializer.is_valid(raise_exception=True)
    validated: dict[str, Any] = serializer.validated_data
    return validated

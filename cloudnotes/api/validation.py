"""Validated input of the views: what a client may not send is refused by name."""

import datetime as dt
import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.utils.dateparse import parse_datetime
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

NAMED_AT_MOST = 12  # names that an error message lists
# A value of ``shown`` that every value is taken for.
ANYTHING: Any = object()


class InputSerializer(serializers.Serializer[Any]):
    """Base of what clients send: bodies, forms and queries.

    A member that the serializer does not have is refused (``unknown_field``), and so is a name that
    a form has twice (``repeated``). null for an optional member that is never null is as if it were
    not sent.

    The context may have ``shown``, what the client reads of the same thing. Its other members may
    come back: each is refused (``read_only``) only if it would change something.
    """

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return super().to_internal_value(data)
        members: dict[str, Any] = {}
        errors: dict[str, ErrorDetail] = {}
        for name, value in self._members(data, errors):
            field = self.fields.get(name)
            if field is not None:
                is_optional = self.partial or not field.required
                if value is None and is_optional and not field.allow_null:
                    continue
                members[name] = value
            elif name not in self.context.get("shown", {}):
                errors[name] = unknown("field", name, [*self.fields])
            elif value is not None and not is_same(value, self.context["shown"][name]):
                errors[name] = ErrorDetail(
                    "This is not for clients to change; leave it out or as it was.",
                    code="read_only",
                )
        if errors:
            raise serializers.ValidationError({name: [error] for name, error in errors.items()})
        return super().to_internal_value(members)

    def _members(
        self, data: Mapping[str, Any], errors: dict[str, ErrorDetail]
    ) -> Iterator[tuple[str, Any]]:
        """Yield names and values; a form's values are lists, of which most fields take one."""
        getlist = getattr(data, "getlist", None)
        if getlist is None:
            yield from data.items()
            return
        for name in data:
            values = getlist(name)
            if isinstance(self.fields.get(name), serializers.ListField):
                yield name, values
                continue
            if len(values) > 1:
                errors[name] = repeated()
            yield name, values[-1]


class TimeField(serializers.DateTimeField):
    """A time (RFC 3339), whose T and Z may be small letters."""

    def to_internal_value(self, value: Any) -> dt.datetime:
        return super().to_internal_value(value.upper() if isinstance(value, str) else value)


def validate(
    serializer_class: type[serializers.Serializer[Any]],
    data: Any,
    *,
    partial: bool = False,
    shown: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Validate the body or the query of a request and return it. Raises DRF's ValidationError.

    ``shown`` is what :class:`InputSerializer` says.
    """
    serializer = serializer_class(data=data, partial=partial, context={"shown": shown or {}})
    serializer.is_valid(raise_exception=True)
    validated: dict[str, Any] = serializer.validated_data
    return validated


def refuse_others(members: Mapping[str, Any], taken: Collection[str]) -> None:
    """Refuse validated members that this kind of request does not take. Raises ValidationError."""
    if others := [name for name in members if name not in taken]:
        raise serializers.ValidationError(
            {name: [unknown("field", name, taken)] for name in others}
        )


def unknown(kind: str, name: str, known: Collection[str]) -> ErrorDetail:
    """Return the error for a name that is not known, with the one that was meant, if one is near.

    ``kind`` is "field" or "parameter".
    """
    near = {_plain(each): each for each in known}
    meant = difflib.get_close_matches(_plain(name), near, n=1, cutoff=0.7)
    if meant:
        hint = f"Is {near[meant[0]]!r} meant?"
    elif not known:
        hint = "None is taken here."
    else:
        names = sorted(known)
        more = ", …" if len(names) > NAMED_AT_MOST else ""
        hint = f"There are: {', '.join(names[:NAMED_AT_MOST])}{more}."
    return ErrorDetail(f"There is no such {kind}. {hint}", code=f"unknown_{kind}")


def repeated() -> ErrorDetail:
    """Return the error for a name that was sent more than once."""
    return ErrorDetail("Send this once.", code="repeated")


def is_same(sent: Any, shown: Any) -> bool:
    """Return whether a JSON value is what was shown; times may be written in another way."""
    if shown is ANYTHING:
        return True
    if isinstance(shown, dt.datetime) or (isinstance(sent, str) and isinstance(shown, str)):
        return sent == shown or _is_same_time(str(sent), shown)
    if isinstance(shown, Mapping) and isinstance(sent, Mapping):
        # Generated clients leave out what is null.
        names = {*sent, *shown}
        return all(is_same(sent.get(name), shown.get(name)) for name in names)
    if isinstance(shown, list | tuple) and isinstance(sent, list):
        return len(sent) == len(shown) and all(map(is_same, sent, shown))
    return bool(sent == shown)


def _is_same_time(sent: str, shown: Any) -> bool:
    try:
        times = [
            each if isinstance(each, dt.datetime) else parse_datetime(each.upper())
            for each in (sent, shown)
        ]
    except ValueError:
        return False
    return None not in times and times[0] == times[1]


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").casefold()

"""What the views behind the addresses say of themselves, for what is decided before a view runs."""

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.urls import URLPattern, URLResolver

View = TypeVar("View")
GROUP = re.compile(r"\(\?P<\w+>")


def waits_for_storage(*methods: str) -> Callable[[View], View]:
    """Mark a view, or a ``ModelAdmin``, whose requests by these methods may wait for the storage.

    ``"DELETE?"`` is a DELETE with a query, which may be for good. Such requests get a thread of the
    storage pool (``cloudnotes.server.wsgi_adapter``); multipart forms need no mark.
    """

    def mark(view: View) -> View:
        setattr(view, "storage_methods", methods)  # noqa: B010 - of any class or function
        return view

    return mark


def storage_requests(resolver: URLResolver) -> re.Pattern[str]:
    """Return what is found in the ``METHOD /path?query`` of what may wait for the file storage."""
    alternatives = []
    for path, view in _walk(resolver, ""):
        for method in getattr(view, "storage_methods", ()):
            query = r"\?." if method.endswith("?") else r"\?"
            # A slash at the end is taken off paths without a prefix.
            alternatives.append(f"{method.removesuffix('?')} /{path}/?{query}")
    return re.compile(f"^(?:{'|'.join(sorted(set(alternatives)))})")


def _walk(resolver: URLResolver, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield the pattern of every address, without groups and anchors, and the view behind it."""
    for entry in resolver.url_patterns:
        regex: Any = entry.pattern.regex
        path = prefix + GROUP.sub("(?:", regex.pattern).removeprefix("^").removesuffix(r"\Z")
        if isinstance(entry, URLResolver):
            yield from _walk(entry, path)
        elif isinstance(entry, URLPattern):
            view: Any = entry.callback
            for name in ("cls", "view_class", "model_admin"):
                view = getattr(entry.callback, name, view)
            yield path, view

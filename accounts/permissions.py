"""Permissions: the scopes of personal access tokens."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.callers import get_caller
from cloudnotes.api.errors import DomainError


class InsufficientScope(DomainError):
    """The token is valid but lacks the scope (RFC 6750, 3.1)."""

    status = 403
    code = "insufficient_scope"

    def __init__(self, needed: str | None) -> None:
        if needed is None:
            super().__init__(
                "A personal access token can never do this. Log in and use an access token."
            )
            self.auth_header = 'Bearer error="insufficient_scope"'
        else:
            super().__init__(f"The personal access token lacks the scope {needed}.")
            self.auth_header = f'Bearer error="insufficient_scope", scope="{needed}"'


def has_scope(request: Request, needed: str | None) -> bool:
    """Return whether a request's token has a scope. A session has every scope."""
    return get_caller(request).has_scope(needed)


def require_scope(request: Request, needed: str | None) -> None:
    """Raise :class:`InsufficientScope` if :func:`has_scope` returns False."""
    if not has_scope(request, needed):
        raise InsufficientScope(needed)


class HasScope(BasePermission):
    """Allows a request with a personal access token if it has the scope that the view needs.

    The view's ``scopes`` is by HTTP method. A view or method without one refuses all personal
    access tokens, so that a new view is safe by default. Raises :class:`InsufficientScope`.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method != "OPTIONS":
            method = "GET" if request.method == "HEAD" else request.method
            require_scope(request, getattr(view, "scopes", {}).get(method))
        return True

"""Create, change and delete saved searches."""

import datetime as dt
from typing import Any

from django.db import transaction

from accounts.actions.credentials import lock
from accounts.callers import Caller
from accounts.identifiers import fold
from cloudnotes.api.errors import DomainError
from notes.models import SavedSearch

MAX_SEARCHES = 200


class TooManySearches(DomainError):
    """The owner would have more saved searches than an account may."""

    status = 409
    code = "too_many_searches"
    detail = f"An account has at most {MAX_SEARCHES} saved searches. Delete some, then try again."


class SearchGone(DomainError):
    """The saved search was deleted after it was read."""

    status = 404
    code = "not_found"
    detail = "There is nothing here that you may see."


def save_search(*, name: str, query: str, by: Caller, now: dt.datetime) -> SavedSearch:
    """Save a search. Raises IntegrityError by ``one_saved_search_per_name``.

    Also raises :class:`TooManySearches`; the limit is exact, because the account is locked while
    the searches are counted.
    """
    with transaction.atomic():
        lock(by.user)
        if SavedSearch.objects.filter(owner=by.user).count() >= MAX_SEARCHES:
            raise TooManySearches
        times = {"created_at": now, "updated_at": now}
        return SavedSearch.objects.create(
            owner=by.user, name=name, name_folded=fold(name), query=query, **times
        )


def change_search(*, search: SavedSearch, changes: dict[str, Any], now: dt.datetime) -> SavedSearch:
    """Set ``name``, ``query`` or both, as ``changes`` has them. Raises :class:`SearchGone`.

    Also raises IntegrityError by ``one_saved_search_per_name``.
    """
    if "name" in changes:
        changes = {**changes, "name_folded": fold(changes["name"])}
    row = SavedSearch.objects.filter(pk=search.pk)
    with transaction.atomic():
        if not row.update(**changes, updated_at=now):
            raise SearchGone
        return row.get()


def delete_search(*, search: SavedSearch) -> None:
    """Delete a saved search."""
    SavedSearch.objects.filter(pk=search.pk).delete()

"""Saved searches."""

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone

from cloudnotes.db.constraints import ForeignKeyConstraint

if TYPE_CHECKING:
    from accounts.callers import Caller

MAX_NAME_LENGTH, MAX_FOLDED_LENGTH = 100, 400


class SavedSearchQuerySet(models.QuerySet["SavedSearch"]):
    """Queries of saved searches."""

    def visible_to(self, caller: "Caller") -> "SavedSearchQuerySet":
        """Return a user's own searches; none with a token that is limited to a category.

        The text of a search may describe notes outside of that category.
        """
        return self.none() if caller.category else self.filter(owner_id=caller.pk)


class SavedSearch(models.Model):
    """A search under a name. Belongs to its owner and dies with the account."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    name = models.CharField(max_length=MAX_NAME_LENGTH)
    name_folded = models.CharField(max_length=MAX_FOLDED_LENGTH, editable=False)
    query = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = SavedSearchQuerySet.as_manager()

    class Meta:
        constraints = [
            ForeignKeyConstraint(field="owner", name="saved_searches_die_with_their_owner"),
            # Also the cascade from the owner.
            models.UniqueConstraint(
                fields=["owner", "name_folded"],
                name="one_saved_search_per_name",
                violation_error_code="name_taken",
                violation_error_message="You have a saved search of this name. Choose another one.",
            ),
        ]

    def __str__(self) -> str:
        return f"saved search {self.pk} of user {self.owner_id}"

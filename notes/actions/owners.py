"""Delete what an account has outside the database when the account is deleted."""

from django.db.models import Q

from accounts.models import Avatar, User
from notes import quotas
from notes.actions import objects
from notes.models import Feed, Note, SearchIndex


def release_owner(*, owner: User) -> None:
    """Delete the owner's objects after the commit; the database's cascade deletes the rows.

    Called by ``accounts.actions.users.delete`` (setting ``BEFORE_USER_DELETE``) in its transaction.
    """
    # Before the notes, in the order that indexing uses.
    list(SearchIndex.objects.select_for_update().filter(user=owner).values_list("pk"))
    # In the order of all writers. While the notes and the quota are locked, no running upload can
    # attach an object that this does not see.
    list(Note.objects.select_for_update().filter(owner=owner).order_by("pk").values_list("pk"))
    quotas.lock(owner.pk)
    Feed.objects.lock(owner.pk)
    pictures = Avatar.objects.filter(user=owner).values("key")
    objects.delete_after_commit(Q(owner=owner) | Q(key__in=pictures))

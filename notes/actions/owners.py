"""What notes keep outside the database when an account goes."""

from django.db.models import Q

from accounts.models import Avatar, User
from notes import quotas
from notes.actions import objects
from notes.models import Feed, Note, SearchIndex


def release_owner(*, owner: User) -> None:
    """Have the owner's objects deleted after the commit; the rows go by the database's cascade.

    Called by ``accounts.actions.users.delete`` (setting ``BEFORE_USER_DELETE``) in its transaction.
    """
    # Before the notes, as whoever indexes them does.
    list(SearchIndex.objects.select_for_update().filter(user=owner).values_list("pk"))
    # In the order of all writers. With the notes and the quota locked, no upload that is under way
    # can attach an object unseen.
    list(Note.objects.select_for_update().filter(owner=owner).order_by("pk").values_list("pk"))
    quotas.lock(owner.pk)
    Feed.objects.lock(owner.pk)
    pictures = Avatar.objects.filter(user=owner).values("key")
    objects.delete_after_commit(Q(owner=owner) | Q(key__in=pictures))

"""What notes keep outside the database when an account goes."""

from accounts.models import User
from notes.actions import objects
from notes.models import Note


def release_owner(*, owner: User) -> None:
    """Have the owner's objects deleted after the commit; the rows go by the database's cascade.

    Called by ``accounts.actions.users.delete`` (setting ``BEFORE_USER_DELETE``) in its transaction.
    """
    # With the notes locked no upload that is under way can attach an object unseen.
    list(Note.objects.select_for_update().filter(owner=owner).values_list("pk"))
    objects.delete_after_commit(attachments__note__owner=owner)

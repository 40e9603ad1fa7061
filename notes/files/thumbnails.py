"""Make thumbnails of images; the worker makes them in a separate process."""

import datetime as dt
import io
import logging
import tempfile
from collections.abc import Mapping

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from cloudnotes.api.errors import DomainError
from cloudnotes.pictures.protocol import CONTENT_TYPE, PASSING, NotMade
from notes.files import objects, storage, thumbnailing
from notes.files.models import StoredObject, Thumbnail

# A worker has this long; if it dies, another one retries after that.
CLAIMED_FOR = dt.timedelta(minutes=2)
# Failures of a busy machine are retried, up to this many tries; each pause doubles the last one.
MAX_TRIES, FIRST_PAUSE = 6, dt.timedelta(minutes=5)
# Larger images get no thumbnails, because the whole file has to be fetched.
MAX_BYTES = 100 * 2**20

logger = logging.getLogger(__name__)


def make_due() -> bool:
    """Make the thumbnails of one image; a worker's job. Returns whether there may be more."""
    now = timezone.now()
    due = StoredObject.objects.filter(thumbnails_due_at__lte=now)
    source = due.order_by("thumbnails_due_at").first()
    if source is None:
        return False
    claim = StoredObject.objects.filter(
        pk=source.pk, thumbnails_due_at=source.thumbnails_due_at
    ).update(thumbnails_due_at=now + CLAIMED_FOR)
    if claim:
        try:
            _make(source, now)
        except storage.StorageUnavailable:
            logger.warning("The storage does not answer; thumbnails wait.")
            return False
    return True


def make_again(damaged: StoredObject, now: dt.datetime) -> None:
    """If an object is a damaged thumbnail, make the thumbnails of its image again."""
    with transaction.atomic():
        source_ids = Thumbnail.objects.filter(object=damaged).values_list("source", flat=True)
        sources = StoredObject.objects.filter(pk__in=list(source_ids))
        sources.update(thumbnails_due_at=now, thumbnails_failed=None)
        Thumbnail.objects.filter(source__in=sources).delete()


def _make(source: StoredObject, now: dt.datetime) -> None:
    try:
        images = _images(source)
    except NotMade as refusal:
        failed = (source.thumbnails_failed or 0) + 1
        if refusal.reason in PASSING and failed < MAX_TRIES:
            logger.warning("thumbnails of object %d wait: %s", source.pk, refusal)
            due_at = now + FIRST_PAUSE * 2 ** (failed - 1)
            _claimed(source).update(thumbnails_due_at=due_at, thumbnails_failed=failed)
            return
        logger.info("no thumbnails of object %d: %s", source.pk, refusal)
        images = {}
    keys = {
        size: objects.store(content=io.BytesIO(image), content_type=CONTENT_TYPE)
        for size, image in images.items()
    }
    try:
        is_saved = _save(source, keys)
    except DomainError:
        is_saved = False
    if not is_saved:
        objects.discard(*keys.values())


def _images(source: StoredObject) -> Mapping[int, bytes]:
    if source.size > MAX_BYTES:
        raise NotMade("too many bytes")
    with tempfile.NamedTemporaryFile() as file:
        for piece in storage.stream(source.key) or ():
            file.write(piece)
        file.flush()
        return thumbnailing.make(file.name)


def _save(source: StoredObject, keys: Mapping[int, str]) -> bool:
    """Save the thumbnails, unless another worker has made them or the image was deleted."""
    with transaction.atomic():
        rows = _claimed(source)
        if not rows.select_for_update().exists():
            return False
        for size, key in keys.items():
            Thumbnail.objects.create(source=source, size=size, object=objects.make_ready(key=key))
        rows.update(thumbnails_due_at=None)
    return True


def _claimed(source: StoredObject) -> QuerySet[StoredObject]:
    """Return the row of an image if it has the same bytes and its thumbnails are still due."""
    return StoredObject.objects.filter(
        pk=source.pk,
        key=source.key,
        state=StoredObject.State.READY,
        thumbnails_due_at__isnull=False,
    )

"""Thumbnails of images, made by the worker in a process of their own."""

import datetime as dt
import io
import logging
import tempfile
from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from cloudnotes.errors import DomainError
from notes import storage, thumbnailing
from notes.actions import objects
from notes.models import StoredObject, Thumbnail

# Whoever makes them has so long; if it dies another one tries then.
CLAIMED_FOR = dt.timedelta(minutes=2)
# What is larger has no thumbnails: it would have to be fetched whole.
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
            _make(source)
        except storage.StorageUnavailable:
            logger.warning("The storage does not answer; thumbnails wait.")
            return False
    return True


def _make(source: StoredObject) -> None:
    try:
        images = _images(source)
    except thumbnailing.NotMade as refusal:
        logger.info("no thumbnails of object %d: %s", source.pk, refusal)
        images = {}
    keys = {
        size: objects.store(content=io.BytesIO(image), content_type=thumbnailing.CONTENT_TYPE)
        for size, image in images.items()
    }
    try:
        is_kept = _keep(source, keys)
    except DomainError:
        is_kept = False
    if not is_kept:
        objects.discard(*keys.values())


def _images(source: StoredObject) -> Mapping[int, bytes]:
    if source.size > MAX_BYTES:
        raise thumbnailing.NotMade("too many bytes")
    with tempfile.NamedTemporaryFile() as file:
        for piece in storage.stream(source.key) or ():
            file.write(piece)
        file.flush()
        return thumbnailing.make(file.name)


def _keep(source: StoredObject, keys: Mapping[int, str]) -> bool:
    """Point at the thumbnails, unless another worker has made them, or the image is gone."""
    with transaction.atomic():
        rows = StoredObject.objects.select_for_update().filter(
            pk=source.pk, state=StoredObject.State.READY, thumbnails_due_at__isnull=False
        )
        if not rows.exists():
            return False
        for size, key in keys.items():
            Thumbnail.objects.create(source=source, size=size, object=objects.make_ready(key=key))
        rows.update(thumbnails_due_at=None)
    return True

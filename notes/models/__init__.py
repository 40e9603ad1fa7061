"""The tables of notes."""

from notes.models.attachments import Attachment
from notes.models.imports import ImportedItem
from notes.models.notes import Note
from notes.models.objects import StoredObject

__all__ = ["Attachment", "ImportedItem", "Note", "StoredObject"]

"""Notes and what hangs on them."""

from django.apps import AppConfig


class NotesConfig(AppConfig):
    name = "notes"

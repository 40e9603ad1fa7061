"""``make_triggers``: what check E014 asks for."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection

from cloudnotes.db.triggers import declared, get_missing


class Command(BaseCommand):
    """Create the triggers that the tables are to have and do not."""

    help = "Create the triggers of the database that are missing (check cloudnotes.E014)."
    requires_system_checks = []  # of which E014 is one

    def handle(self, *args: Any, **options: Any) -> None:
        missing = get_missing(connection)
        with connection.schema_editor() as editor:
            for model, trigger in declared(connection.vendor):
                statement = trigger.create_sql(model, editor)
                if statement and trigger.name in missing:
                    editor.execute(statement, None)
                    self.stdout.write(f"{trigger.name}: created")
        if not missing:
            self.stdout.write("No trigger is missing.")

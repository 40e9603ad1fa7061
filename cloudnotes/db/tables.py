"""Checks whether a database has the tables of this release."""

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor


def is_migrated(connection: BaseDatabaseWrapper) -> bool:
    """Return whether every migration of this release has been applied to a database."""
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())

import cloudnotes.db.triggers
from django.db import migrations


def make_again(apps, schema_editor):
    """Have the triggers of migrations 0010 and 0013 be what the models declare."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION IF EXISTS notes_keep_files() CASCADE")
    for name in ("Revision", "IndexedNote"):
        model = apps.get_model("notes", name)
        for constraint in model._meta.constraints:
            if isinstance(constraint, cloudnotes.db.triggers.Trigger):
                schema_editor.execute(constraint.remove_sql(model, schema_editor), None)
                if statement := constraint.create_sql(model, schema_editor):
                    schema_editor.execute(statement, None)


class Migration(migrations.Migration):

    dependencies = [
        ('notes', '0016_damaged_objects'),
    ]

    operations = [
        # Not in the database: SQLite would copy both tables, and the triggers are there.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddConstraint(
                    model_name='indexednote',
                    constraint=cloudnotes.db.triggers.Trigger(condition='', event='AFTER INSERT', name='notes_indexednote_added', postgresql='', sqlite='\nINSERT INTO notes_indexednote_terms (rowid, terms) VALUES (NEW.note_id, NEW.terms);\n'),
                ),
                migrations.AddConstraint(
                    model_name='indexednote',
                    constraint=cloudnotes.db.triggers.Trigger(condition='', event='AFTER DELETE', name='notes_indexednote_removed', postgresql='', sqlite="\nINSERT INTO notes_indexednote_terms (notes_indexednote_terms, rowid, terms)\nVALUES ('delete', OLD.note_id, OLD.terms);\n"),
                ),
                migrations.AddConstraint(
                    model_name='indexednote',
                    constraint=cloudnotes.db.triggers.Trigger(condition='', event='AFTER UPDATE OF terms', name='notes_indexednote_replaced', postgresql='', sqlite="\nINSERT INTO notes_indexednote_terms (notes_indexednote_terms, rowid, terms)\nVALUES ('delete', OLD.note_id, OLD.terms);\n\nINSERT INTO notes_indexednote_terms (rowid, terms) VALUES (NEW.note_id, NEW.terms);\n"),
                ),
                migrations.AddConstraint(
                    model_name='revision',
                    constraint=cloudnotes.db.triggers.Trigger(condition="NEW.files <> ''", event='AFTER INSERT', name='notes_revision_keeps_files', postgresql="\nINSERT INTO notes_keptfile (revision_id, object_id)\nSELECT DISTINCT NEW.id, stored.id\nFROM jsonb_array_elements(NEW.files::jsonb) AS file\nJOIN notes_storedobject AS stored ON stored.id = (file ->> 'object')::bigint;\n", sqlite="\nINSERT INTO notes_keptfile (revision_id, object_id)\nSELECT DISTINCT NEW.id, stored.id FROM json_each(NEW.files)\nJOIN notes_storedobject AS stored ON stored.id = json_extract(value, '$.object');\n"),
                ),
            ],
        ),
        migrations.RunPython(make_again, migrations.RunPython.noop, elidable=False),
    ]

from django.db import migrations

# Every note there is gets its place in its owner's feed, and says what can be known of its state:
# that readers may have been given it.
FILL = """
UPDATE notes_note
SET state_version = version, state_since = updated_at, state_by_id = owner_id, state_given = TRUE;
INSERT INTO notes_change (user_id, note_id, seq)
SELECT owner_id, id, ROW_NUMBER() OVER (PARTITION BY owner_id ORDER BY id) FROM notes_note;
INSERT INTO notes_feed (user_id, seq) SELECT owner_id, COUNT(*) FROM notes_note GROUP BY owner_id;
"""


class Migration(migrations.Migration):
    dependencies = [("notes", "0004_history_and_feed")]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]

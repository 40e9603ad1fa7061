import cloudnotes.db.constraints
import cloudnotes.db.triggers
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('notes', '0017_triggers'),
    ]

    operations = [
        migrations.AddField(
            model_name='link',
            name='unless',
            field=models.CharField(blank=True, db_default='', default='', max_length=32),
        ),
        migrations.CreateModel(
            name='Renaming',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('owner_id', models.PositiveBigIntegerField()),
                ('title', models.CharField(max_length=200)),
                ('credential', models.CharField(blank=True, db_default='', default='', max_length=40)),
                ('note', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='renamings', to='notes.note')),
            ],
            options={
                'indexes': [models.Index(fields=['owner_id'], name='renamings_by_owner'), models.Index(fields=['note'], name='renamings_by_note')],
                'constraints': [cloudnotes.db.constraints.ForeignKeyConstraint(field='note', name='renamings_die_with_their_note', on_delete='CASCADE')],
            },
        ),
        cloudnotes.db.triggers.AddTrigger(
            model_name='note',
            constraint=cloudnotes.db.triggers.Trigger(condition='OLD.title <> NEW.title', event='AFTER UPDATE OF title', name='notes_note_renamed', postgresql='\nINSERT INTO notes_renaming (note_id, owner_id, title, credential)\nVALUES (NEW.id, NEW.owner_id, OLD.title, NEW.state_credential);\n', sqlite='\nINSERT INTO notes_renaming (note_id, owner_id, title, credential)\nVALUES (NEW.id, NEW.owner_id, OLD.title, NEW.state_credential);\n'),
        ),
    ]

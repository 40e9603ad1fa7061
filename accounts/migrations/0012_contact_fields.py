import accounts.models.contacts
import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0011_canonical_addresses'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='contact',
            name='birthday_has_a_key',
        ),
        migrations.AddField(
            model_name='contact',
            name='addresses',
            field=models.JSONField(blank=True, db_default=[], default=list),
        ),
        migrations.AddField(
            model_name='contact',
            name='company',
            field=models.CharField(blank=True, db_default='', default='', max_length=200, validators=[django.core.validators.RegexValidator('^[^\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]+\\Z', code='control_characters', message='Send one line of text without control characters.')]),
        ),
        migrations.AddField(
            model_name='contact',
            name='job_title',
            field=models.CharField(blank=True, db_default='', default='', max_length=200, validators=[django.core.validators.RegexValidator('^[^\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]+\\Z', code='control_characters', message='Send one line of text without control characters.')]),
        ),
        migrations.AddField(
            model_name='contact',
            name='other_emails',
            field=models.JSONField(blank=True, db_default=[], default=list),
        ),
        migrations.AddField(
            model_name='contact',
            name='other_phones',
            field=models.JSONField(blank=True, db_default=[], default=list),
        ),
        migrations.AddField(
            model_name='contact',
            name='url',
            field=models.CharField(blank=True, db_default='', default='', max_length=1000, validators=[django.core.validators.RegexValidator('^[^\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]+\\Z', code='control_characters', message='Send one line of text without control characters.')]),
        ),
        migrations.AlterField(
            model_name='contact',
            name='phone',
            field=models.CharField(blank=True, db_default='', default='', max_length=50, validators=[accounts.models.contacts.phone_number]),
        ),
        migrations.AddConstraint(
            model_name='contact',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('birthday', None), ('birthday_key', None)), models.Q(('birthday_key__gte', 101), ('birthday_key__isnull', False), ('birthday_key__lte', 1231)), _connector='OR'), name='birthday_has_a_key'),
        ),
    ]

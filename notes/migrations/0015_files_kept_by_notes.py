from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('notes', '0014_fill_files'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='attachment',
            name='created_at',
        ),
        migrations.RemoveField(
            model_name='attachment',
            name='name',
        ),
    ]

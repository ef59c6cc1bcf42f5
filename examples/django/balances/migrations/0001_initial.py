from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Balance",
            fields=[
                ("user_id", models.CharField(max_length=85, primary_key=True, serialize=False)),
                ("amount", models.FloatField()),
            ],
        ),
    ]

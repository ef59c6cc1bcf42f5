from django.db import models


class Balance(models.Model):
    user_id = models.CharField(max_length=85, primary_key=True)
    amount = models.FloatField()

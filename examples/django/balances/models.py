from django.db import models


class Balance(models.Model):
    user_id = models.CharField(max_length=85, primary_key=True)
    # A float, not a Decimal: a channel layer's messages are msgpack, which has no decimals.
    amount = models.FloatField()

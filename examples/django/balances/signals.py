from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db.models.signals import post_save
from django.dispatch import receiver

from .models import Balance


@receiver(post_save, sender=Balance)
def tell_user_of_low_balance(sender, instance, **kwargs):
    """Notifies the user's browsers, whether Daphne or a gateway holds their WebSockets."""
    if instance.amount >= settings.SUFFICIENT_BALANCE:
        return
    async_to_sync(get_channel_layer().group_send)(
        f"{instance.user_id}isInsufficient",
        {"type": "receive", "isInsufficient:": True, "balance": instance.amount},
    )

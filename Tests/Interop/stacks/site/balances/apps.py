from django.apps import AppConfig


class BalancesConfig(AppConfig):
    name = "balances"

    def ready(self):
        from . import signals  # noqa: F401  (importing connects the receivers)

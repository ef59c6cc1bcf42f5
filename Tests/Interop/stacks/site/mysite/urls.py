from balances import views
from django.urls import path

urlpatterns = [
    path("login", views.login),
    path("balance", views.change_balance),
    path("ws-auth", views.ws_auth),
]

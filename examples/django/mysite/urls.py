from django.urls import path

from balances import views

urlpatterns = [
    path("", views.index),
    path("login", views.login),
    path("logout", views.logout),
    path("balance", views.change_balance),
    path("ws-auth", views.ws_auth),
    path("unseen", views.unseen),
]

import math
import re

from django.conf import settings
from django.core.mail import send_mail
from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST
from standardwebhooks import Webhook, WebhookVerificationError

from .models import Balance

# "{user}isInsufficient" must be a group name: ASCII letters, digits, "-", "_", ".", shorter than 100 characters.
USER_ID = re.compile(r"[A-Za-z0-9._-]{1,85}", re.ASCII)


@require_GET
def index(request):
    user_id = request.session.get("userId")
    balance = Balance.objects.filter(user_id=user_id).first()
    return render(
        request,
        "balances/index.html",
        {
            "user_id": user_id,
            "balance": balance,
            "sufficient": settings.SUFFICIENT_BALANCE,
            "websocket_url": settings.WEBSOCKET_URL,
        },
    )


@require_POST
def login(request):
    """Accepts any name. A real site checks a password here; the rest is the same."""
    user_id = request.POST.get("user", "")
    if not USER_ID.fullmatch(user_id):
        return HttpResponseBadRequest("user: 1 to 85 letters, digits, '-', '_' or '.'")
    request.session.flush()  # a new login never continues an older session
    request.session["userId"] = user_id
    return redirect("/")


@require_POST
def logout(request):
    request.session.flush()
    return redirect("/")


@require_POST
def change_balance(request):
    """Sets the balance of the user who is logged in; saving it fires the signal."""
    user_id = request.session.get("userId")
    if user_id is None:
        return JsonResponse({"error": "not logged in"}, status=401)
    try:
        amount = float(request.POST.get("amount", ""))
    except ValueError:
        amount = math.nan
    if not math.isfinite(amount):
        return HttpResponseBadRequest("amount: a number")
    Balance.objects.update_or_create(user_id=user_id, defaults={"amount": amount})
    return redirect("/")


@require_GET
@never_cache
def ws_auth(request):
    """Called by the gateway before it accepts a WebSocket, with the browser's cookies, to identify the user."""
    user_id = request.session.get("userId")
    if user_id is None:
        return JsonResponse({"error": "not logged in"}, status=401)
    return JsonResponse({"user": user_id})


@csrf_exempt
@require_POST
def unseen(request):
    """Called by a gateway for each notification that its user has not received in time: the site sends an e-mail."""
    try:
        event = Webhook(settings.TOCSIN_WEBHOOK_SECRET).verify(request.body, dict(request.headers))
    except WebhookVerificationError:
        return HttpResponse(status=401)
    user, message = event["data"]["user"], event["data"]["message"]
    send_mail(
        subject="Your balance runs out",
        message=f"Your balance is {message['balance']}.",
        from_email="site@example.com",
        recipient_list=[f"{user}@example.com"],
    )
    return HttpResponse(status=204)

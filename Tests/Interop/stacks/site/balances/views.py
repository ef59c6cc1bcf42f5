from django.http import HttpResponse, JsonResponse

from .models import Balance


def login(request):
    """Believes the name it is given."""
    request.session.flush()
    request.session["userId"] = request.POST["user"]
    return HttpResponse(status=204)


def change_balance(request):
    """Saving fires the signal."""
    Balance.objects.update_or_create(
        user_id=request.session["userId"], defaults={"amount": float(request.POST["amount"])}
    )
    return HttpResponse(status=204)


def ws_auth(request):
    """Asked by the gateway, with the browser's cookies: who is this?"""
    user_id = request.session.get("userId")
    if user_id is None:
        return JsonResponse({"error": "not logged in"}, status=401)
    return JsonResponse({"user": user_id})

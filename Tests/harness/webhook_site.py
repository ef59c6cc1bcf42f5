"""A site that receives webhooks, and verifies them with the library `standardwebhooks`.

with WebhookSite(secret) as site:
    …                                  site.url, site.deliveries
    site.behave(status=500)            hang=True, status=302 with headers={"Location": …}, endless=True
"""

import json
from dataclasses import dataclass

from harness.web_server import WebServer
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


@dataclass
class Delivery:
    id: str
    message: dict


class WebhookSite(WebServer):
    success = 204

    def __init__(self, secret, path="/hooks/tocsin"):
        self._webhook = Webhook(secret)
        self.deliveries: list[Delivery] = []
        self.forged: list[str] = []  # why each was refused
        super().__init__()
        self.url = self.origin + path

    def received(self, request):
        try:
            message = self._webhook.verify(request.body, request.headers)
        except WebhookVerificationError as error:
            self.forged.append(str(error))
            return 401
        if request.headers.get("content-type") != "application/json":
            return 415
        # What was signed is what is JSON.
        assert message == json.loads(request.body)
        self.deliveries.append(Delivery(request.headers["webhook-id"], message))
        return None

    @property
    def ids(self) -> list[str]:
        """The ids of all requests, also of those that were answered with an error."""
        return [request.headers["webhook-id"] for request in self.requests]

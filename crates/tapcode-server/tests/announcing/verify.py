"""Reads webhooks, one JSON object a line, as a caller's program would: with the package standardwebhooks of PyPI."""

import base64
import json
import sys

from standardwebhooks.webhooks import Webhook

for line in sys.stdin:
    told = json.loads(line)
    event = Webhook(told["secret"]).verify(base64.b64decode(told["body"]), told["headers"])
    print(json.dumps({"type": event["type"], "id": told["headers"]["webhook-id"]}))

"""PyWa, a client for Meta's Cloud API that somebody else wrote, against the stand-in.

`drive` asks for everything that an operator of authentication templates asks for, and prints what came back as one line of
JSON. `hear` reads webhooks from standard input, one per line as `{"body", "signature"}` with the body in base64, and prints
what PyWa made of each.
"""

import base64
import json
import sys

from pywa import WhatsApp
from pywa.errors import WhatsAppError
from pywa.types import MessageStatus
from pywa.types import templates as t

BASE, PHONE, WABA, TOKEN, SECRET = sys.argv[2:7]


def client():
    wa = WhatsApp(
        phone_id=PHONE,
        token=TOKEN,
        waba_id=WABA,
        app_secret=SECRET,
        verify_token="unused",
        server=None,
        skip_duplicate_updates=False,
        api_version="25.0",
    )
    # PyWa knows no other host than Meta's, so its session is told of ours.
    wa.api._session.base_url = f"{BASE}/v25.0"
    return wa


def refused(call):
    try:
        call()
    except WhatsAppError as error:
        return [type(error).__name__, error.code]
    return None


def send(wa, to="+31612345678", code="J$FpnYnP", name="login_otp", language=t.TemplateLanguage.ENGLISH_US, **more):
    return wa.send_template(
        to=to,
        name=name,
        language=language,
        params=[t.AuthenticationBody.params(otp=code), t.CopyCodeOTPButton.params(otp=code)],
        **more,
    )


def drive():
    wa = client()
    seen = {}
    number = wa.get_business_phone_number()
    seen["number"] = [number.id, number.verified_name, str(number.quality_rating), str(number.throughput)]
    # PyWa 4.5 encodes this body twice and forgets the time to live, so it is given the body of Meta's documentation, and the
    # answer is taken as it is.
    body = {
        "name": "login_otp",
        "languages": ["en_US", "nl"],
        "category": "AUTHENTICATION",
        "message_send_ttl_seconds": 60,
        "components": [
            {"type": "BODY", "add_security_recommendation": True},
            {"type": "FOOTER", "code_expiration_minutes": 5},
            {"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE"}]},
        ],
    }
    made = wa.api.upsert_message_templates(WABA, body)["data"]
    seen["upserted"] = [[m["id"].isdigit(), m["status"], m["language"]] for m in made]
    one_tap = t.Template(
        name="tap_otp",
        category=t.TemplateCategory.AUTHENTICATION,
        language=t.TemplateLanguage.ENGLISH_US,
        message_send_ttl_seconds=90,
        components=[
            t.AuthenticationBody(add_security_recommendation=True),
            t.AuthenticationFooter(code_expiration_minutes=5),
            t.Buttons(
                buttons=[
                    t.OneTapOTPButton(
                        text="Copy it",
                        autofill_text="Fill in",
                        supported_apps=[t.OTPSupportedApp(package_name="com.example.app", signature_hash="K8a/AINcGX7")],
                    )
                ]
            ),
        ],
    )
    created = wa.create_template(one_tap)
    seen["created"] = [created.id.isdigit(), str(created.status), str(created.category)]
    seen["created_twice"] = refused(lambda: wa.create_template(one_tap))
    listed = wa.get_templates(name="login_otp")
    seen["listed"] = sorted([l.name, str(l.language), str(l.status), str(l.category), l.message_send_ttl_seconds] for l in listed)
    sent = send(wa, tracker="att_1")
    seen["sent"] = [sent.id.startswith("wamid."), sent.input, str(sent.status)]
    seen["sent_to_nobody"] = refused(lambda: send(wa, name="no_such_template"))
    seen["deleted"] = bool(wa.delete_template("tap_otp"))
    seen["left"] = [l.name for l in wa.get_templates(name="tap_otp")]
    seen["settings"] = wa.api.update_business_phone_number_settings(
        PHONE, {"user_identity_change": {"enable_identity_key_check": True}}
    )
    seen["subscribed"] = [a["whatsapp_business_api_data"]["name"] for a in wa.api.get_waba_subscribed_apps(WABA)["data"]]
    wa.api._session.headers["Authorization"] = "Bearer another"
    seen["other_token"] = refused(wa.get_business_phone_number)
    print(json.dumps(seen))


def hear():
    wa = client()
    heard = []

    @wa.on_callback_button
    def button(_, b):
        heard.append(["button", b.data, b.title, b.reply_to_message.id])

    @wa.on_template_status_update
    def template(_, u):
        heard.append(["template", u.template_name, str(u.template_language), str(u.new_status), str(u.template_id)])

    for line in sys.stdin:
        webhook = json.loads(line)
        body = base64.b64decode(webhook["body"])
        rejected = wa.webhook_update_validator(body, webhook["signature"])
        if rejected:
            heard.append(["rejected", rejected[1]])
            continue
        update = json.loads(body)
        values = [(entry, change) for entry in update["entry"] for change in entry["changes"]]
        for entry, change in values:
            # PyWa's own handler looks at the first status of a webhook only; its reader can be asked for each.
            one = {**update, "entry": [{**entry, "changes": [change]}]}
            for at, _ in enumerate(change["value"].get("statuses", [])):
                s = MessageStatus.from_update(wa, one, contact_idx=at, status_idx=at)
                price = None if s.pricing is None else [str(s.pricing.category), str(s.pricing.type)]
                heard.append(["status", str(s.status), s.id, s.tracker, s.from_user.wa_id, price])
        if "statuses" not in values[0][1]["value"]:
            wa.webhook_update_handler(body)
    print(json.dumps(heard))


{"drive": drive, "hear": hear}[sys.argv[1]]()

//! What does Meta tell us by itself? Statuses of messages, and news about templates, numbers and accounts.
//!
//! Meta puts up to 1,000 updates and 3 MB into one call, so that the body is read once, statuses without building a tree
//! of it. What Meta adds one day is passed over; one update that cannot be read takes none of the others with it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use tapcode_core::account::{BreakerScope, CODE_BLOCKED, CODE_RESTRICTED, MessagingLimit, News, Quality, TemplateStatus};
use tapcode_core::delivery::{Failure, FailureClass, PROVIDER_MESSAGE_ID_MAX, ReceiptKind};
use tapcode_core::time::Timestamp;
use tapcode_engine::contract::account::NUMBER_NEWS;
use tapcode_engine::contract::provider::{Billing, Heard, HookError, IDENTITY_MAX, Receipt, Reference};

use tapcode_engine::rates::Category;

use crate::answer::{number, text};
use crate::vendor_text::for_people;
use crate::whatsapp_errors;

/// Most updates of one hook that are looked at. Meta sends up to 1,000 at once; the rest is room for growth.
pub const UPDATES_MAX: usize = 4_000;
/// Milliseconds of a second: Meta's timestamps are whole seconds.
const SECOND_MS: i64 = 1_000;
/// Messages a second of a number with high throughput, and of one without:
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/throughput> (read 2026-11-22).
pub(crate) const HIGH_PER_SECOND: u32 = 1_000;
pub(crate) const STANDARD_PER_SECOND: u32 = 80;
/// The button under a message with which a person says that they asked for no code:
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/authentication-templates/copy-code-button-authentication-templates>
/// (read 2026-11-22).
const DISOWNING: &str = "DID_NOT_REQUEST_CODE";

/// Whose hook it is.
pub(crate) struct Ours<'a> {
    pub(crate) waba_id: &'a str,
    pub(crate) phone_number_id: &'a str,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    entry: Vec<Object<Entry<'a>>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    changes: Vec<Object<Change<'a>>>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow, default)]
    field: Text<'a>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Messages<'a> {
    #[serde(borrow, default)]
    metadata: Metadata<'a>,
    #[serde(borrow, default)]
    statuses: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    messages: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    errors: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    phone_number_id: Text<'a>,
}

#[derive(Deserialize)]
struct Status<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow, default)]
    timestamp: Text<'a>,
    #[serde(borrow, default)]
    biz_opaque_callback_data: Text<'a>,
    #[serde(borrow, default)]
    recipient_identity_key_hash: Text<'a>,
    #[serde(borrow, default)]
    pricing: Option<Pricing<'a>>,
    #[serde(default)]
    errors: Vec<Value>,
}

#[derive(Deserialize)]
struct Pricing<'a> {
    #[serde(default)]
    billable: Option<bool>,
    #[serde(borrow, default)]
    category: Text<'a>,
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
}

#[derive(Deserialize)]
struct Inbound<'a> {
    #[serde(borrow, default)]
    timestamp: Text<'a>,
    button: Option<Button<'a>>,
    context: Option<Context<'a>>,
}

#[derive(Deserialize)]
struct Button<'a> {
    #[serde(borrow, default)]
    payload: Text<'a>,
}

#[derive(Deserialize)]
struct Context<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
}

/// An object, or something else that is passed over.
struct Object<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OrNot<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OrNot<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|object| Object(Some(object)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Object<T>, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Object(None))
            }

            fn visit_unit<E>(self) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Object<T>, E> {
                Ok(Object(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<Object<T>, E> {
                Ok(Object(None))
            }
        }
        deserializer.deserialize_any(OrNot(std::marker::PhantomData))
    }
}

/// A string, or a number as a string: Meta writes ids and times either way. Empty for anything else.
#[derive(Clone, Default, PartialEq, Eq)]
struct Text<'a>(Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a number")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }

            fn visit_bool<E>(self, _: bool) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }

            fn visit_f64<E>(self, _: f64) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Text<'de>, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// What a body tells, whose signature was found right.
pub(crate) fn heard(body: &[u8], ours: &Ours<'_>) -> Result<Heard, HookError> {
    let body: Body<'_> = serde_json::from_slice(body).map_err(|_| HookError::Malformed)?;
    let mut heard = Heard::default();
    let (mut is_ours, mut is_foreign) = (false, false);
    for entry in body.entry.iter().filter_map(|entry| entry.0.as_ref()) {
        for change in entry.changes.iter().filter_map(|change| change.0.as_ref()) {
            let value = change.value.map_or("null", RawValue::get);
            let messages: Option<Messages<'_>> = serde_json::from_str(value).ok();
            let number = messages.as_ref().map_or("", |m| &*m.metadata.phone_number_id);
            if let Some(messages) = messages
                .as_ref()
                .filter(|_| number == ours.phone_number_id && !number.is_empty())
            {
                is_ours = true;
                let updates = messages.statuses.len() + messages.messages.len();
                if updates > UPDATES_MAX.saturating_sub(heard.receipts.len()) {
                    return Err(HookError::Malformed);
                }
                heard
                    .receipts
                    .extend(messages.statuses.iter().filter_map(|raw| receipt(raw.get())));
                heard
                    .receipts
                    .extend(messages.messages.iter().filter_map(|raw| disowned(raw.get())));
                heard.news.extend(messages.errors.iter().filter_map(|raw| error(raw.get())));
            } else if number.is_empty() && &*entry.id == ours.waba_id {
                is_ours = true;
                if heard.news.len() >= UPDATES_MAX {
                    return Err(HookError::Malformed);
                }
                let value: Value = serde_json::from_str(value).unwrap_or_default();
                heard.news.extend(news(&change.field, &value));
            } else {
                is_foreign = true;
            }
        }
    }
    if is_foreign && !is_ours {
        Err(HookError::Foreign)
    } else {
        Ok(heard)
    }
}

/// The receipt in one status; `None` for a status that tells nothing about delivery, or that is none of ours to read.
fn receipt(status: &str) -> Option<Receipt> {
    let status: Status<'_> = serde_json::from_str(status).ok()?;
    let kind = match &*status.status {
        "sent" => ReceiptKind::Sent,
        "delivered" => ReceiptKind::Delivered,
        "read" => ReceiptKind::Read,
        "failed" => ReceiptKind::Failed(failure(status.errors.first().unwrap_or(&Value::Null))),
        // `played` is of voice messages; what Meta adds one day tells nothing until we know what.
        _ => return None,
    };
    let id = Some(&*status.id).filter(|id| !id.is_empty() && id.len() <= PROVIDER_MESSAGE_ID_MAX)?;
    let identity = Some(&*status.recipient_identity_key_hash).filter(|i| (1..=IDENTITY_MAX).contains(&i.len()));
    Some(Receipt {
        reference: Reference::parse(&status.biz_opaque_callback_data),
        provider_message_id: id.into(),
        kind,
        at: moment(&status.timestamp),
        billing: status.pricing.as_ref().and_then(billing),
        identity: identity.map(Into::into),
    })
}

/// A person pressed that they asked for no code. Who they are does not matter, and may not be told: the message is.
fn disowned(message: &str) -> Option<Receipt> {
    let message: Inbound<'_> = serde_json::from_str(message).ok()?;
    message.button.filter(|button| &*button.payload == DISOWNING)?;
    let context = message.context?;
    let id = Some(&*context.id).filter(|id| !id.is_empty() && id.len() <= PROVIDER_MESSAGE_ID_MAX)?;
    Some(Receipt {
        reference: None,
        provider_message_id: id.into(),
        kind: ReceiptKind::Disowned,
        at: moment(&message.timestamp),
        billing: None,
        identity: None,
    })
}

fn moment(seconds: &str) -> Option<Timestamp> {
    let seconds = seconds.parse::<u32>().ok()?;
    Some(Timestamp::from_millis(i64::from(seconds) * SECOND_MS))
}

/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status> (read 2026-11-22)
fn billing(pricing: &Pricing<'_>) -> Option<Billing> {
    if pricing.kind.starts_with("free") || pricing.billable == Some(false) {
        return Some(Billing::Free);
    }
    if pricing.category.is_empty() {
        return None;
    }
    // A message that is billed as something else, such as `utility`, must not be booked as a code.
    Some(Category::parse(&pricing.category).map_or(Billing::Unknown, Billing::Category))
}

fn failure(error: &Value) -> Failure {
    let words = error["error_data"]["details"]
        .as_str()
        .or_else(|| error["title"].as_str())
        .unwrap_or_default();
    match number(&error["code"]) {
        Some(code) => whatsapp_errors::reported(code, words),
        None => Failure::new(FailureClass::NextRoute, "failed", "Meta told no reason"),
    }
}

/// An error about the account, not about a message.
fn error(error: &str) -> Option<News> {
    let error: Value = serde_json::from_str(error).ok()?;
    let Failure { code, detail, .. } = failure(&error);
    Some(News::Remark {
        about: "error",
        detail: format!("{code}: {detail}").into(),
    })
}

/// What one change that is not about messages tells of the account.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/overview> (read 2026-11-22)
fn news(field: &str, value: &Value) -> Vec<News> {
    match field {
        "message_template_status_update" => template_status(value).into_iter().collect(),
        "message_template_quality_update" => {
            let quality = quality(&value["new_quality_score"]);
            let about = |(name, language)| News::TemplateQuality { name, language, quality };
            template(value).map(about).into_iter().collect()
        }
        "template_category_update" => {
            let is_authentication = words(&value["new_category"]).eq_ignore_ascii_case("authentication");
            let about = |(name, language)| News::TemplateCategory {
                name,
                language,
                is_authentication,
            };
            template(value).map(about).into_iter().collect()
        }
        "message_template_components_update" => {
            let about = |(name, language)| remark("template_components", &format!("of template {name} in {language}"));
            template(value).map(about).into_iter().collect()
        }
        "phone_number_quality_update" => number_quality(value),
        "business_capability_update" => limit(value).into_iter().collect(),
        "account_update" => account_update(value).into_iter().collect(),
        "account_alerts" => vec![remark("account_alert", &words(&value["alert_type"]))],
        "account_review_update" => vec![remark("account_review", &words(&value["decision"]))],
        _ => Vec::new(),
    }
}

/// Name and language of the template that is spoken of; Meta writes `en-US` here and wants `en_US` in requests.
fn template(value: &Value) -> Option<(Box<str>, Box<str>)> {
    let name = text(&value["message_template_name"])?;
    let language = text(&value["message_template_language"])?;
    Some((name.into(), language.replace('-', "_").into()))
}

fn template_status(value: &Value) -> Option<News> {
    let (name, language) = template(value)?;
    let event = text(&value["event"])?;
    // Warnings, and limits of what can be changed: nothing that Meta documents keeps the template from being sent.
    if let "FLAGGED" | "LOCKED" | "LIMIT_EXCEEDED" = &*event {
        let detail = format!(
            "template {name} in {language}: {}",
            event.to_ascii_lowercase().replace('_', " ")
        );
        return Some(remark("template", &detail));
    }
    let status = template_status_of(&event);
    let given = [
        &value["rejection_info"]["reason"],
        &value["reason"],
        &value["other_info"]["title"],
        &value["other_info"]["description"],
    ];
    let reason = given.into_iter().map(words).find(|w| !w.is_empty() && w != "NONE");
    Some(News::TemplateStatus {
        name,
        language,
        id: text(&value["message_template_id"]).unwrap_or_default().into(),
        status,
        reason: reason.filter(|_| status != TemplateStatus::Approved).map(Into::into),
    })
}

/// What Meta's word for a template's status means, of the webhook and of the list alike.
pub(crate) fn template_status_of(word: &str) -> TemplateStatus {
    match word {
        "APPROVED" | "REINSTATED" | "UNARCHIVED" => TemplateStatus::Approved,
        "PENDING" => TemplateStatus::Pending,
        "REJECTED" => TemplateStatus::Rejected,
        "IN_APPEAL" => TemplateStatus::InAppeal,
        "PAUSED" => TemplateStatus::Paused,
        "DISABLED" => TemplateStatus::Disabled,
        "PENDING_DELETION" => TemplateStatus::PendingDeletion,
        "DELETED" => TemplateStatus::Deleted,
        "ARCHIVED" => TemplateStatus::Archived,
        _ => TemplateStatus::Unusable,
    }
}

pub(crate) fn quality(word: &Value) -> Quality {
    match word.as_str().unwrap_or_default() {
        "GREEN" => Quality::Green,
        "YELLOW" => Quality::Yellow,
        "RED" => Quality::Red,
        _ => Quality::Unknown,
    }
}

fn number_quality(value: &Value) -> Vec<News> {
    let mut news: Vec<News> = limit(value).into_iter().collect();
    match value["event"].as_str().unwrap_or_default() {
        // It names its number as people see it, which is not configured: what is true of which number is read anew.
        "THROUGHPUT_UPGRADE" => news.push(remark(NUMBER_NEWS, "a number of the account may send more messages a second")),
        // Of older payloads: from memory, not confirmed.
        "FLAGGED" => news.push(remark(NUMBER_NEWS, "a number of the account was flagged for its quality")),
        "UNFLAGGED" => news.push(remark(NUMBER_NEWS, "a number of the account is not flagged any more")),
        "ONBOARDING" => news.push(remark("onboarding", "the number was added to the account")),
        _ => {}
    }
    news
}

fn limit(value: &Value) -> Option<News> {
    let fields = [
        "max_daily_conversations_per_business",
        "max_daily_conversation_per_phone",
        "current_limit",
    ];
    let told = fields.into_iter().find_map(|field| messaging_limit(&value[field]));
    told.map(News::Limit)
}

/// `TIER_2K`, `2000`, `-1` for no limit (the last from memory, not confirmed).
pub(crate) fn messaging_limit(value: &Value) -> Option<MessagingLimit> {
    let text = text(value)?;
    let tier = text.strip_prefix("TIER_").unwrap_or(&text);
    if tier == "UNLIMITED" || tier == "-1" {
        return Some(MessagingLimit::Unlimited);
    }
    let (digits, times) = tier.strip_suffix('K').map_or((tier, 1), |digits| (digits, 1_000));
    let most: u32 = digits.parse().ok()?;
    most.checked_mul(times).map(MessagingLimit::People)
}

fn account_update(value: &Value) -> Option<News> {
    let event = text(&value["event"])?;
    let blocked = |code, detail: &str, until| News::Blocked {
        scope: BreakerScope::Account,
        code,
        detail: detail.into(),
        until,
    };
    Some(match event.as_str() {
        "ACCOUNT_DELETED" => blocked(CODE_BLOCKED, "the account was deleted", None),
        "DISABLED_UPDATE" => match value["ban_info"]["waba_ban_state"].as_str().unwrap_or_default() {
            "DISABLE" => blocked(CODE_BLOCKED, "Meta has disabled the account", None),
            "REINSTATE" => News::Unblocked(BreakerScope::Account),
            other => remark("account_ban", &for_people(other)),
        },
        "ACCOUNT_RESTRICTION" => {
            let restrictions = value["restriction_info"].as_array().map(Vec::as_slice).unwrap_or_default();
            let sends = restrictions.iter().find(|r| {
                let kind = r["restriction_type"].as_str().unwrap_or_default();
                kind == "RESTRICTED_BIZ_INITIATED_MESSAGING"
            });
            match sends {
                Some(restriction) => {
                    let until = text(&restriction["expiration"]).and_then(|seconds| moment(&seconds));
                    blocked(CODE_RESTRICTED, "Meta restricts what the account may send", until)
                }
                None => remark("account_restriction", "something other than sending is restricted"),
            }
        }
        "ACCOUNT_VIOLATION" => remark("account_violation", &words(&value["violation_info"]["violation_type"])),
        "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE" => remark("international_rates", "the rates of other countries apply, or will"),
        "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE" => remark("business_location", &words(&value["country"])),
        "VOLUME_BASED_PRICING_TIER_UPDATE" => remark("volume_tier", "the price for more messages changed"),
        _ => remark("account_update", &for_people(&event)),
    })
}

fn remark(about: &'static str, detail: &str) -> News {
    News::Remark {
        about,
        detail: detail.into(),
    }
}

/// A vendor's word or words, without what could be a number.
fn words(value: &Value) -> String {
    value.as_str().map(for_people).unwrap_or_default()
}

#[cfg(test)]
mod tests;

//! Is this the request that Meta asks for?
//!
//! The send of an authentication template:
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/authentication-templates/copy-code-button-authentication-templates>
//! (read 2026-11-22). The order in which several mistakes are found is *unconfirmed*.

use super::TemplateState;
use super::refusal::Refusal;
use serde_json::{Map, Value};

/// The longest code an authentication template takes, in characters. Same source.
const CODE_MAX_CHARS: usize = 15;

/// The longest `biz_opaque_callback_data`, in characters.
/// <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status> (read 2026-11-22)
const CALLBACK_DATA_MAX_CHARS: usize = 512;

/// What a request says, read without judging it.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch {
    pub(super) to: Option<String>,
    pub(super) code: Option<String>,
    pub(super) template: Option<String>,
    pub(super) language: Option<String>,
    pub(super) callback_data: Option<String>,
}

impl Sketch {
    pub(super) fn of(json: &Value) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let template = json.get("template");
        let body = template
            .and_then(|template| template.get("components"))
            .and_then(Value::as_array)
            .and_then(|components| components.iter().find(|component| is_word(component.get("type"), "body")));
        Self {
            to: text(json.get("to")),
            code: text(body.and_then(|body| body.pointer("/parameters/0/text"))),
            template: text(template.and_then(|template| template.get("name"))),
            language: text(template.and_then(|template| template.pointer("/language/code"))),
            callback_data: text(json.get("biz_opaque_callback_data")),
        }
    }
}

/// Says what is wrong with a send, as Meta would.
pub(super) fn judge(
    json: &Value,
    own_digits: &str,
    template_state: impl Fn(&str, &str) -> Option<TemplateState>,
) -> Result<(), Refusal> {
    let Some(request) = json.as_object() else {
        return Err(missing_100("messaging_product"));
    };
    if request.get("messaging_product").and_then(Value::as_str) != Some("whatsapp") {
        return Err(missing_100("messaging_product"));
    }
    // That unknown keys are refused, and by this error, is *unconfirmed*.
    only_keys(
        request,
        "request",
        &[
            "messaging_product",
            "recipient_type",
            "recipient",
            "recipient_identity_key_hash",
            "to",
            "type",
            "biz_opaque_callback_data",
            "template",
        ],
    )?;
    // Authentication templates cannot be sent to a business-scoped user id.
    // <https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids> (read 2026-11-22)
    if request.contains_key("recipient") {
        return Err(Refusal::new(400, 131_062));
    }
    if request.get("recipient_type").is_some_and(|kind| kind != "individual") {
        return Err(Refusal::new(400, 100).details("recipient_type must be individual"));
    }
    judge_recipient(request.get("to"), own_digits)?;
    if let Some(data) = request.get("biz_opaque_callback_data") {
        let fits = data
            .as_str()
            .is_some_and(|data| data.chars().count() <= CALLBACK_DATA_MAX_CHARS);
        if !fits {
            return Err(Refusal::new(400, 100).details("biz_opaque_callback_data must be a string of at most 512 characters"));
        }
    }
    if request.get("type").and_then(Value::as_str) != Some("template") {
        return Err(Refusal::new(400, 131_051).details("this stand-in knows messages of type template only"));
    }
    judge_template(request.get("template"), template_state)
}

/// *Stricter* than Meta, which takes spaces, dashes and brackets, and puts its own country code before a number without `+`.
fn judge_recipient(to: Option<&Value>, own_digits: &str) -> Result<(), Refusal> {
    let Some(to) = to.and_then(Value::as_str) else {
        return Err(missing_100("to"));
    };
    let digits = to.strip_prefix('+').unwrap_or_default();
    let is_number =
        (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if !is_number {
        return Err(Refusal::new(400, 131_009).details("to must be a plus sign and 7 to 15 digits"));
    }
    if digits == own_digits {
        return Err(Refusal::new(400, 131_021));
    }
    Ok(())
}

fn judge_template(template: Option<&Value>, template_state: impl Fn(&str, &str) -> Option<TemplateState>) -> Result<(), Refusal> {
    let Some(template) = template.and_then(Value::as_object) else {
        return Err(missing("template"));
    };
    only_keys(template, "template", &["name", "language", "components"])?;
    let Some(name) = template.get("name").and_then(Value::as_str) else {
        return Err(missing("template.name"));
    };
    let Some(language) = template
        .get("language")
        .and_then(|language| language.get("code"))
        .and_then(Value::as_str)
    else {
        return Err(missing("template.language.code"));
    };
    match template_state(name, language) {
        None | Some(TemplateState::Pending | TemplateState::Rejected) => {
            return Err(Refusal::new(404, 132_001).details(format!("template name ({name}) does not exist in {language}")));
        }
        Some(TemplateState::Paused) => return Err(Refusal::new(400, 132_015)),
        Some(TemplateState::Disabled) => return Err(Refusal::new(400, 132_016)),
        Some(TemplateState::Approved) => {}
    }
    let components = template
        .get("components")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    judge_components(components)
}

fn judge_components(components: &[Value]) -> Result<(), Refusal> {
    let (mut body, mut button) = (None, None);
    for component in components {
        let Some(component) = component.as_object() else {
            return Err(Refusal::new(400, 100).details("a component must be an object"));
        };
        only_keys(component, "component", &["type", "sub_type", "index", "parameters"])?;
        let slot = if is_word(component.get("type"), "body") {
            &mut body
        } else if is_word(component.get("type"), "button") {
            &mut button
        } else {
            // An authentication template has no header and no parameters anywhere else.
            return Err(
                Refusal::new(400, 132_018).details("an authentication template takes parameters for body and button only")
            );
        };
        if slot.replace(component).is_some() {
            return Err(Refusal::new(400, 132_018).details("a component is given twice"));
        }
    }

    let body = body.map_or(&[][..], parameters);
    if body.len() != 1 {
        return Err(Refusal::new(400, 132_000).details(format!(
            "body: number of localizable_params ({}) does not match the expected number of params (1)",
            body.len()
        )));
    }
    // The words of this error were seen in public reports: https://github.com/PipedreamHQ/pipedream/issues/5899 (read 2026-11-22)
    let no_button = || Refusal::new(400, 131_008).details("buttons: Button at index 0 of type Url requires a parameter");
    let button = button.ok_or_else(no_button)?;
    // Meta reads the one-time-code button as a URL button. That another sub type gets this error is *unconfirmed*.
    if !is_word(button.get("sub_type"), "url") {
        return Err(Refusal::new(400, 131_009).details("buttons: sub_type of the button at index 0 must be url"));
    }
    // Both the string and the number occur in Meta's own pages.
    let at_zero = button.get("index").is_some_and(|index| index == "0" || index == 0);
    let [button] = parameters(button) else {
        return Err(no_button());
    };
    if !at_zero {
        return Err(no_button());
    }
    let (body, button) = (code_of(&body[0])?, code_of(button)?);
    // That Meta compares the two is *unconfirmed*; its pages say that they are the same value.
    if body != button {
        return Err(Refusal::new(400, 131_009).details("the body and the button must carry the same code"));
    }
    Ok(())
}

fn parameters(component: &Map<String, Value>) -> &[Value] {
    component
        .get("parameters")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The code in a parameter. That one too long gets this error is *unconfirmed*; the limit itself is documented.
fn code_of(parameter: &Value) -> Result<&str, Refusal> {
    let parameter = parameter
        .as_object()
        .ok_or_else(|| Refusal::new(400, 132_012).details("a parameter must be an object"))?;
    only_keys(parameter, "parameter", &["type", "text"])?;
    if !is_word(parameter.get("type"), "text") {
        return Err(Refusal::new(400, 132_012).details("the parameter must be of type text"));
    }
    let Some(code) = parameter.get("text").and_then(Value::as_str) else {
        return Err(missing("text"));
    };
    if code.is_empty() {
        return Err(missing("text"));
    }
    if code.chars().count() > CODE_MAX_CHARS {
        return Err(Refusal::new(400, 131_009).details("a code has at most 15 characters"));
    }
    Ok(code)
}

/// Meta takes these words in either case.
fn is_word(value: Option<&Value>, word: &str) -> bool {
    value
        .and_then(Value::as_str)
        .is_some_and(|value| value.eq_ignore_ascii_case(word))
}

fn only_keys(object: &Map<String, Value>, place: &str, known: &[&str]) -> Result<(), Refusal> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Refusal::new(400, 100).details(format!("Unexpected key \"{key}\" on param \"{place}\"."))),
        None => Ok(()),
    }
}

fn missing_100(parameter: &str) -> Refusal {
    Refusal::new(400, 100).text(format!("(#100) The parameter {parameter} is required."))
}

fn missing(parameter: &str) -> Refusal {
    Refusal::new(400, 131_008).details(format!("Parameter of type {parameter} is missing"))
}

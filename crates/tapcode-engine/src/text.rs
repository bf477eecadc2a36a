//! What does the text message of a verification say?

use tapcode_core::code::Code;
use tapcode_core::verification::Verification;

use crate::service::Service;

/// The whole text, code included.
pub(crate) fn of_code(verification: &Verification, service: &Service, code: &Code, minutes: u32, binding: Option<&str>) -> String {
    let _ = (verification, binding);
    format!("{} is your {} code. It expires in {minutes} minutes.", code.expose(), service.brand)
}

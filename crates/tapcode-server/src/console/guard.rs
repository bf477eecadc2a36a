//! Whose requests does the page answer? Its own, under a name that leads here on purpose.
//!
//! Three attacks from another page in the same browser: a name of theirs that suddenly leads to this machine (the `Host` is
//! then that name), a request sent blindly from their page (the browser says where it comes from, and will not set our
//! header without asking us first), and a frame around ours (refused by the content security policy).

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Page;
use crate::problem::{Code, Problem};

/// The header that only the page's own script sets.
pub(super) const CONSOLE_HEADER: &str = "x-tapcode-console";

pub(super) async fn guard(State(page): State<Page>, request: Request, next: Next) -> Response {
    let host = named_host(&request);
    match host {
        Some(host) if leads_here(&host, &page.public_url) => {
            if !is_own(request.method(), request.headers(), &host) {
                return Problem::new(Code::PageOnly).into_response();
            }
            next.run(request).await
        }
        _ => Problem::new(Code::Misdirected).into_response(),
    }
}

/// The host that was asked for: the authority of HTTP/2, the `Host` of HTTP/1.
fn named_host(request: &Request) -> Option<Authority> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.clone());
    }
    let mut all = request.headers().get_all(header::HOST).iter();
    let first = all.next()?;
    // Two of them would let a proxy and us disagree.
    if all.next().is_some() {
        None
    } else {
        first.to_str().ok()?.parse().ok()
    }
}

/// `localhost`, any address, or the public name. An address is no name, and only a name can be made to lead elsewhere.
fn leads_here(host: &Authority, public_url: &str) -> bool {
    let name = host.host();
    let public = public_url.parse::<Uri>().ok();
    name.eq_ignore_ascii_case("localhost")
        || name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
        || public
            .as_ref()
            .and_then(Uri::host)
            .is_some_and(|public| public.eq_ignore_ascii_case(name))
}

/// Whether the browser says that our own page asks; for what changes something, our script must say so as well.
fn is_own(method: &Method, headers: &HeaderMap, host: &Authority) -> bool {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let reading = *method == Method::GET || *method == Method::HEAD;
    // `none` is somebody who typed the address. Fetch Metadata: <https://www.w3.org/TR/fetch-metadata/>.
    // A link from elsewhere may show the page, which is a navigation, and nothing else.
    let navigation = reading && text("sec-fetch-mode") == Some("navigate") && text("sec-fetch-dest") == Some("document");
    let from_here = match text("sec-fetch-site") {
        None | Some("same-origin" | "none") => true,
        Some(_) => navigation,
    };
    let origin_fits = match headers.get(header::ORIGIN) {
        None => true,
        Some(origin) => origin
            .to_str()
            .ok()
            .and_then(|o| o.strip_prefix("http://").or_else(|| o.strip_prefix("https://")))
            .is_some_and(|o| o.eq_ignore_ascii_case(host.as_str())),
    };
    from_here && origin_fits && (reading || text(CONSOLE_HEADER) == Some("1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Authority {
        text.parse().unwrap()
    }

    #[test]
    fn only_names_that_were_chosen_lead_here() {
        for good in [
            "localhost:8080",
            "LOCALHOST",
            "127.0.0.1:8080",
            "[::1]:8080",
            "192.168.1.5",
            "otp.example.com",
        ] {
            assert!(leads_here(&host(good), "https://otp.example.com"), "{good}");
        }
        for bad in [
            "rebound.example.net:8080",
            "localhost.example.net",
            "127.0.0.1.example.net",
            "example.com",
            "0x7f.1",
        ] {
            assert!(!leads_here(&host(bad), "https://otp.example.com"), "{bad}");
        }
    }

    #[test]
    fn only_our_own_page_may_ask() {
        let own = |method: Method, pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, value.parse().unwrap());
            }
            is_own(&method, &headers, &host("localhost:8080"))
        };
        let ours = (CONSOLE_HEADER, "1");
        assert!(own(
            Method::POST,
            &[ours, ("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")]
        ));
        assert!(own(Method::POST, &[ours]), "a tool that is no browser");
        assert!(!own(Method::POST, &[]), "a form");
        assert!(!own(Method::POST, &[(CONSOLE_HEADER, "0")]));
        assert!(!own(Method::POST, &[ours, ("origin", "http://evil.example")]));
        assert!(!own(Method::POST, &[ours, ("origin", "null")]));
        assert!(
            !own(Method::POST, &[ours, ("origin", "http://localhost:9999")]),
            "another server on this machine"
        );
        assert!(!own(Method::POST, &[ours, ("sec-fetch-site", "same-site")]));
        assert!(own(
            Method::GET,
            &[
                ("sec-fetch-site", "none"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document")
            ]
        ));
        assert!(
            own(
                Method::GET,
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "document")
                ]
            ),
            "a link"
        );
        assert!(
            !own(
                Method::GET,
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "iframe")
                ]
            ),
            "a frame"
        );
        assert!(
            !own(
                Method::GET,
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "no-cors"),
                    ("sec-fetch-dest", "empty")
                ]
            ),
            "their stream"
        );
    }
}

//! How is the API described to people? Pages written by the server itself, without scripts and without any other host.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderValue, Method, header};

use crate::App;
use crate::api::operation::{Operation, Route, Success, open};
use crate::api::{inbound, openapi};
use crate::problem::{Code, DOCS_PATH};

const STYLE_PATH: &str = "/docs/style.css";
const STYLE: &str = include_str!("docs.css");
/// Pages may have our own style sheet and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The pages about these operations, themselves included.
pub(crate) fn routes(app: &App, others: &[Route]) -> Vec<Route> {
    let page = |id, path, summary, media| Operation {
        id,
        method: Method::GET,
        path,
        tag: "Documentation",
        summary,
        description: "Open: it needs no key.",
        needs: &[],
        query: Vec::new(),
        body: None,
        idempotent: false,
        answers: media,
        problems: &[],
    };
    const HTML: &[Success] = &[Success {
        status: 200,
        means: "A page.",
        media: "text/html",
        schema: None,
        example: "",
    }];
    const JSON: &[Success] = &[Success {
        status: 200,
        means: "The OpenAPI document.",
        media: "application/json",
        schema: None,
        example: "",
    }];
    let own = [
        page("openApi", "/openapi.json", "The API for machines", JSON),
        page("docs", "/docs", "The API for people", HTML),
        page("problemDocs", DOCS_PATH, "What every problem means", HTML),
    ];
    let hooks = inbound::operations();
    let all: Vec<&Operation> = others.iter().map(|r| &r.operation).chain(&hooks).chain(&own).collect();
    let json = openapi::document(&all, app.version, &app.public_url);
    let json = serde_json::to_vec_pretty(&json).expect("the document is plain data");
    let [of_json, of_docs, of_problems] = own;
    let all: Vec<&Operation> = others.iter().map(|r| &r.operation).chain(&hooks).collect();
    vec![
        open(of_json, asset("application/json", json)),
        open(
            of_docs,
            asset("text/html; charset=utf-8", reference(&all, &app.public_url).into_bytes()),
        ),
        open(of_problems, asset("text/html; charset=utf-8", problems().into_bytes())),
    ]
}

/// The style sheet's path and what serves it.
pub(crate) fn style() -> (&'static str, axum::routing::MethodRouter<App>) {
    (STYLE_PATH, asset("text/css; charset=utf-8", STYLE.as_bytes().to_vec()))
}

fn asset(media: &'static str, body: Vec<u8>) -> axum::routing::MethodRouter<App> {
    let body: Arc<Bytes> = Arc::new(body.into());
    get(async move || {
        let mut response = Response::new(axum::body::Body::from(Bytes::clone(&body)));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    })
}

fn shell(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<link rel=\"stylesheet\" href=\"{STYLE_PATH}\">\n</head>\n<body>\n\
         <header><a href=\"/docs\">Tapcode API</a> <nav><a href=\"{DOCS_PATH}\">Problems</a> <a href=\"/openapi.json\">OpenAPI</a></nav></header>\n\
         <main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn reference(operations: &[&Operation], public_url: &str) -> String {
    let mut tags: Vec<&str> = Vec::new();
    for o in operations {
        if !tags.contains(&o.tag) {
            tags.push(o.tag);
        }
    }
    let mut html =
        String::from("<h1>The API</h1>\n<p>JSON in and out. Send your key as <code>Authorization: Bearer tc_…</code>.</p>\n");
    for tag in &tags {
        write(&mut html, format_args!("<h2>{}</h2>\n<ul>\n", escape(tag)));
        for o in operations.iter().filter(|o| o.tag == *tag) {
            write(
                &mut html,
                format_args!(
                    "<li><a href=\"#{}\"><code>{} {}</code></a> {}</li>\n",
                    o.id,
                    o.method,
                    escape(o.path),
                    escape(o.summary)
                ),
            );
        }
        html.push_str("</ul>\n");
    }
    for o in operations {
        operation(&mut html, o, public_url);
    }
    shell("Tapcode API", &html)
}

fn operation(html: &mut String, o: &Operation, public_url: &str) {
    write(
        html,
        format_args!(
            "<section id=\"{}\">\n<h3>{}</h3>\n<p><code>{} {}</code></p>\n<p>{}</p>\n",
            o.id,
            escape(o.summary),
            o.method,
            escape(o.path),
            prose(o.description)
        ),
    );
    if !o.needs.is_empty() {
        let words: Vec<_> = o.needs.iter().map(|r| format!("<code>{}</code>", r.as_str())).collect();
        write(
            html,
            format_args!(
                "<p>Right: {}.{}</p>\n",
                words.join(" or "),
                if o.idempotent {
                    " Takes an <code>Idempotency-Key</code>."
                } else {
                    ""
                }
            ),
        );
    }
    if !o.query.is_empty() {
        html.push_str("<dl>\n");
        for p in &o.query {
            write(
                html,
                format_args!(
                    "<dt><code>?{}=</code></dt><dd>{} <small>{}</small></dd>\n",
                    p.name,
                    prose(p.means),
                    escape(p.kind)
                ),
            );
        }
        html.push_str("</dl>\n");
    }
    if let Some(body) = &o.body {
        let call = format!(
            "curl -X {} '{public_url}{}' \\\n  -H \"Authorization: Bearer $TAPCODE_KEY\" \\\n  -H 'Content-Type: application/json' \\\n  -d '{}'",
            o.method, o.path, body.example
        );
        write(html, format_args!("<pre><code>{}</code></pre>\n", escape(&call)));
    }
    for s in o.answers {
        write(html, format_args!("<p><b>{}</b> {}</p>\n", s.status, prose(s.means)));
        if !s.example.is_empty() {
            write(html, format_args!("<pre><code>{}</code></pre>\n", escape(&pretty(s.example))));
        }
    }
    let problems: Vec<_> = o
        .all_problems()
        .into_iter()
        .map(Code::registered)
        .map(|r| format!("<a href=\"{DOCS_PATH}#{0}\"><code>{1} {0}</code></a>", r.word, r.status))
        .collect();
    write(html, format_args!("<p>Problems: {}</p>\n</section>\n", problems.join(", ")));
}

fn problems() -> String {
    let mut html = String::from(
        "<h1>Problems</h1>\n<p>Every refusal is an <code>application/problem+json</code> document (RFC 9457). Its <code>code</code> is one of these words.</p>\n",
    );
    for code in Code::ALL {
        let r = code.registered();
        write(
            &mut html,
            format_args!(
                "<section id=\"{0}\">\n<h3><code>{0}</code></h3>\n<p><b>{1}</b> {2}.</p>\n<p>{3}</p>\n<p><b>What to do:</b> {4}</p>\n</section>\n",
                r.word,
                r.status,
                escape(r.title),
                prose(r.means),
                prose(r.remedy)
            ),
        );
    }
    shell("Problems · Tapcode API", &html)
}

fn write(html: &mut String, text: std::fmt::Arguments<'_>) {
    html.write_fmt(text).expect("a string takes any text");
}

fn pretty(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).expect("examples are JSON");
    serde_json::to_string_pretty(&value).expect("JSON is JSON")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Text with `code` between back-quotes.
fn prose(text: &str) -> String {
    let mut html = String::new();
    for (at, part) in escape(text).split('`').enumerate() {
        if at % 2 == 1 {
            write(&mut html, format_args!("<code>{part}</code>"));
        } else {
            html.push_str(part);
        }
    }
    html
}

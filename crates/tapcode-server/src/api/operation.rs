//! What can be asked, where, and with which answers? One list that the router and the documentation are both made of.

use axum::extract::{Request, State};
use axum::response::IntoResponse;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;
use tapcode_engine::contract::store::Right;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, schema::Schema};

use std::sync::Arc;

use crate::App;
use crate::api::Shared;
use crate::api::call::{Answered, Call};
use crate::problem::Code;

/// Names a schema and collects it with those it refers to.
pub(crate) type SchemaOf = fn(&mut Vec<(String, RefOr<Schema>)>) -> String;

/// The schema of a type.
pub(crate) fn schema<T: ToSchema>(all: &mut Vec<(String, RefOr<Schema>)>) -> String {
    T::schemas(all);
    let name = T::name().into_owned();
    all.push((name.clone(), T::schema()));
    name
}

/// A query parameter.
#[derive(Clone, Copy)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// `string`, `integer`, or a list of words separated by `|`.
    pub(crate) kind: &'static str,
    pub(crate) means: &'static str,
}

/// A body.
pub(crate) struct Body {
    pub(crate) schema: SchemaOf,
    pub(crate) required: bool,
    /// As JSON.
    pub(crate) example: &'static str,
}

/// An answer that is no problem.
pub(crate) struct Success {
    pub(crate) status: u16,
    pub(crate) means: &'static str,
    pub(crate) media: &'static str,
    pub(crate) schema: Option<SchemaOf>,
    /// As JSON; empty: none.
    pub(crate) example: &'static str,
}

/// One thing that can be asked.
pub(crate) struct Operation {
    pub(crate) id: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) description: &'static str,
    /// One of these is needed; empty: no key is needed.
    pub(crate) needs: &'static [Right],
    pub(crate) query: Vec<Parameter>,
    pub(crate) body: Option<Body>,
    /// Whether it takes an `Idempotency-Key`.
    pub(crate) idempotent: bool,
    pub(crate) answers: &'static [Success],
    /// Problems besides those that every operation of its kind can have.
    pub(crate) problems: &'static [Code],
}

impl Operation {
    /// Every problem it can have.
    pub(crate) fn all_problems(&self) -> Vec<Code> {
        let mut all = vec![Code::InternalError];
        if !self.needs.is_empty() {
            all.extend([
                Code::Unauthenticated,
                Code::InsufficientRights,
                Code::TooManyRequests,
                Code::Unavailable,
                Code::UnknownField,
                Code::InvalidRequest,
            ]);
        }
        if self.body.is_some() {
            all.extend([
                Code::InvalidJson,
                Code::MissingField,
                Code::WrongType,
                Code::BodyTooLarge,
                Code::UnsupportedMediaType,
                Code::RequestTimeout,
            ]);
        }
        if self.path.contains("{id}") {
            all.push(Code::InvalidId);
        }
        if self.idempotent {
            all.extend([Code::InvalidIdempotencyKey, Code::IdempotencyKeyReused]);
        }
        all.extend(self.problems);
        all.sort_by_key(|code| Code::ALL.iter().position(|c| c == code));
        all.dedup();
        all
    }
}

/// An operation and what answers it.
pub(crate) struct Route {
    pub(crate) operation: Operation,
    pub(crate) handler: MethodRouter<App>,
}

/// A route for everybody.
pub(crate) fn open(operation: Operation, handler: MethodRouter<App>) -> Route {
    Route { operation, handler }
}

/// A route for callers with a key.
pub(crate) fn keyed<F, Fut>(operation: Operation, shared: &Arc<Shared>, handler: F) -> Route
where
    F: Fn(Call) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Answered> + Send,
{
    let (needs, shared) = (operation.needs, Arc::clone(shared));
    let serve = async move |State(app): State<App>, request: Request| {
        let call = Call::of(app, Arc::clone(&shared), needs, request).await;
        let answered = match call {
            Ok(call) => handler(call).await,
            Err(problem) => Err(problem),
        };
        answered.unwrap_or_else(IntoResponse::into_response)
    };
    let filter = MethodFilter::try_from(operation.method.clone()).expect("operations use the methods of HTTP");
    Route {
        operation,
        handler: on(filter, serve),
    }
}

//! Which script is for whom?

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, RwLock};

/// A script for each number that has none of its own.
type Rule<S> = Box<dyn Fn(&str) -> S + Send + Sync>;

/// A default, scripts by number, and scripts by number that are used up.
pub(crate) struct Scripts<S> {
    inner: RwLock<Inner<S>>,
}

struct Inner<S> {
    default: Arc<S>,
    rule: Option<Rule<S>>,
    by_number: HashMap<String, Arc<S>>,
    once: HashMap<String, VecDeque<Arc<S>>>,
}

impl<S: Default> Scripts<S> {
    pub(crate) fn new() -> Self {
        Self {
            inner: RwLock::new(Inner {
                default: Arc::default(),
                rule: None,
                by_number: HashMap::new(),
                once: HashMap::new(),
            }),
        }
    }

    pub(crate) fn set_default(&self, script: S) {
        self.inner.write().expect("no holder panics").default = Arc::new(script);
    }

    /// Numbers that have no script of their own get the one that a rule makes for them.
    pub(crate) fn set_rule(&self, rule: impl Fn(&str) -> S + Send + Sync + 'static) {
        self.inner.write().expect("no holder panics").rule = Some(Box::new(rule));
    }

    pub(crate) fn set(&self, number: &str, script: S) {
        self.inner
            .write()
            .expect("no holder panics")
            .by_number
            .insert(number.to_owned(), Arc::new(script));
    }

    pub(crate) fn push_once(&self, number: &str, script: S) {
        self.inner
            .write()
            .expect("no holder panics")
            .once
            .entry(number.to_owned())
            .or_default()
            .push_back(Arc::new(script));
    }

    /// The script for the message that is being read; one that was for once is used up.
    pub(crate) fn take(&self, number: &str) -> Arc<S> {
        let inner = self.inner.read().expect("no holder panics");
        if inner.once.contains_key(number) {
            drop(inner);
            let mut inner = self.inner.write().expect("no holder panics");
            if let Some(script) = inner.once.get_mut(number).and_then(VecDeque::pop_front) {
                return script;
            }
            inner.once.remove(number);
            return inner.of(number);
        }
        inner.of(number)
    }
}

impl<S> Inner<S> {
    fn of(&self, number: &str) -> Arc<S> {
        match (self.by_number.get(number), &self.rule) {
            (Some(script), _) => Arc::clone(script),
            (None, Some(rule)) => Arc::new(rule(number)),
            (None, None) => Arc::clone(&self.default),
        }
    }
}

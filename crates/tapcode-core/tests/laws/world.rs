//! Which routes are open at a moment of a life, in which languages, and how far apart must two messages be? A script of its
//! own for every life: routes close and open while it goes on.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tapcode_core::number::Country;
use tapcode_core::plan::{Channel, Route, Skip, SkipReason};
use tapcode_core::step::Routes;

/// What is known of routes.
#[derive(Clone, Debug)]
pub struct World {
    closed: BTreeMap<(Channel, u32), SkipReason>,
    /// Milliseconds between two messages over one route, on WhatsApp.
    spacing_ms: u64,
    /// Languages of the templates of WhatsApp routes, the default one first; none: they are not known.
    languages: &'static [&'static str],
}

/// Something that happens to routes.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    Close(Channel, u32, SkipReason),
    CloseAll(Channel),
    OpenAll,
}

impl World {
    pub fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Close(channel, sender, reason) => {
                self.closed.insert((channel, sender), reason);
            }
            Turn::CloseAll(channel) => {
                for sender in 1..=4 {
                    self.closed.insert((channel, sender), SkipReason::Breaker);
                }
            }
            Turn::OpenAll => self.closed.clear(),
        }
    }
}

impl Routes for World {
    fn skip(&self, route: &Route, _: Country, _: &str) -> Option<Skip> {
        let reason = self.closed.get(&(route.channel, route.sender))?;
        Some(Skip::because(*reason))
    }

    fn language(&self, route: &Route, locale: &str) -> Option<Box<str>> {
        let default = self.default_language(route)?;
        let spoken = self.languages.iter().find(|l| **l == locale);
        Some(spoken.map_or(default, |l| (*l).into()))
    }

    fn default_language(&self, route: &Route) -> Option<Box<str>> {
        let of_channel = self.languages.iter().filter(|_| route.channel == Channel::Whatsapp);
        of_channel.copied().next().map(Into::into)
    }

    fn spacing_ms(&self, route: &Route) -> u64 {
        match route.channel {
            Channel::Whatsapp => self.spacing_ms,
            Channel::Sms => 0,
        }
    }
}

pub fn world() -> impl Strategy<Value = World> {
    let spacing = prop_oneof![1 => Just(0u64), 1 => Just(6_000), 1 => Just(50)];
    let languages = prop_oneof![
        2 => Just(&[] as &[&str]),
        1 => Just(&["nl"] as &[&str]),
        6 => Just(&["en", "nl"] as &[&str]),
    ];
    (spacing, languages).prop_map(|(spacing_ms, languages)| World {
        closed: BTreeMap::new(),
        spacing_ms,
        languages,
    })
}

/// Mostly nothing: what is closed stays closed for a while.
pub fn turn() -> impl Strategy<Value = Option<Turn>> {
    let channel = || prop_oneof![1 => Just(Channel::Whatsapp), 1 => Just(Channel::Sms)];
    let reason = prop::sample::select(vec![
        SkipReason::Breaker,
        SkipReason::Template,
        SkipReason::MessagingLimit,
        SkipReason::Country,
    ]);
    prop_oneof![
        40 => Just(None),
        3 => (channel(), 1..4u32, reason).prop_map(|(c, s, r)| Some(Turn::Close(c, s, r))),
        1 => channel().prop_map(|c| Some(Turn::CloseAll(c))),
        2 => Just(Some(Turn::OpenAll)),
    ]
}

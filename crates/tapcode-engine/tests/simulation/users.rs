//! What do callers do? Begin, type, mistype, race, resend, give up, ask again with one key, ask for what is not theirs.

use std::sync::Arc;

use tapcode_core::audit::By;
use tapcode_core::delivery::MessageStatus;
use tapcode_core::entry::{CheckReason, Refusal};
use tapcode_core::id::VerificationId;
use tapcode_core::plan::{Channel, Route};
use tapcode_core::recipient::Recipient;
use tapcode_core::step::Answer;
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Purpose, Status};
use tapcode_engine::contract::provider::{Content, Reference};
use tapcode_engine::contract::store::Subject;
use tapcode_engine::engine::{EngineError, Remember, Rendered};
use tapcode_engine::requests::{BeginRequest, Checked, Done, RequestError, View};

use crate::carrier::{self, Fate};
use crate::plant::Plant;
use crate::world::{NUMBERS, Node, Policy, SERVICES, World, number};

/// What was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    Begin {
        bound: bool,
        key: Option<u64>,
    },
    Resend {
        id: VerificationId,
        key: Option<u64>,
    },
    Check {
        id: Option<VerificationId>,
        typed: String,
        bound: bool,
    },
    Cancel {
        id: VerificationId,
    },
    Get {
        id: VerificationId,
    },
    Plain,
    Unlock,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    Begun {
        id: VerificationId,
        new: bool,
        again: bool,
    },
    Checked {
        id: VerificationId,
        reason: Option<CheckReason>,
        status: Status,
        checks_used: u16,
        arrived: bool,
    },
    Stands {
        id: VerificationId,
        status: Status,
    },
    Plain,
    Unlocked,
    Refused(Refusal),
    /// Nothing here has that name.
    NotFound,
    /// 503: it may or may not have happened.
    Unavailable,
    /// The node died, or the caller hung up: it may or may not have happened.
    Lost,
    Other(String),
}

impl Got {
    pub const fn is_known(&self) -> bool {
        !matches!(self, Self::Unavailable | Self::Lost)
    }
}

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Op {
    pub service: &'static str,
    pub number: usize,
    pub purpose: &'static str,
    pub asked: Asked,
    pub from: Timestamp,
    pub to: Timestamp,
    pub got: Got,
}

#[derive(Clone)]
pub struct User {
    pub world: Arc<World>,
    pub policy: &'static Policy,
    pub number: usize,
    pub purpose: &'static str,
    pub name: u64,
    /// The node that is asked; any, where there is none.
    pub node: Option<usize>,
}

const BINDING: &str = r#"{"amount":"39.90 EUR"}"#;

impl User {
    /// Asks a node and writes the answer into the history.
    async fn ask<F>(&self, asked: Asked, request: impl FnOnce(Node) -> F) -> Got
    where
        F: Future<Output = Result<Got, RequestError>>,
    {
        let world = &self.world;
        let from = world.now();
        let node = match self.node {
            Some(slot) => world.nodes.lock().unwrap()[slot].clone(),
            None => world.node(),
        };
        let got = match node {
            None => Got::Other("connection refused".into()),
            Some(node) => {
                let patience = world.roll(|d| if d.chance(world.weather.gone) { d.below(25) } else { 120_000 });
                let dead = node.life.dead.clone();
                tokio::select! {
                    biased;
                    () = dead.cancelled() => Got::Lost,
                    got = request(node) => got.unwrap_or_else(of_error),
                    () = world.pause(patience.max(1)) => {
                        world.saw("a caller hung up");
                        Got::Lost
                    }
                }
            }
        };
        world.note(|| {
            format!(
                "user {} {} {} {}: {asked:?} -> {got:?}",
                self.name, self.policy.name, self.number, self.purpose
            )
        });
        match &got {
            Got::Refused(Refusal::ResendTooSoon { .. }) => world.saw("refused: too soon"),
            Got::Refused(Refusal::HourlyLimit { .. }) => world.saw("refused: hourly limit"),
            Got::Refused(Refusal::Locked { .. }) => world.saw("refused: locked"),
            Got::Refused(Refusal::PendingWithOtherBinding) => world.saw("refused: another binding"),
            Got::Begun { again: true, .. } => world.saw("a remembered answer was given again"),
            Got::Unavailable => world.saw("answered 503"),
            _ => {}
        }
        let op = Op {
            service: self.policy.name,
            number: self.number,
            purpose: self.purpose,
            asked,
            from,
            to: world.now(),
            got: got.clone(),
        };
        world.history.lock().unwrap().push(op);
        got
    }

    fn purpose(&self) -> Purpose {
        Purpose::parse(self.purpose).expect("a purpose of these worlds")
    }

    fn spelled(&self) -> tapcode_core::number::Number {
        number(self.number, self.world.roll(|d| d.pick(&[0, 1, 2])))
    }

    pub async fn begin(&self, bound: bool, key: Option<u64>) -> Got {
        let to = self.spelled();
        let digests = self.digests(key, &format!("begin {} {bound}", self.purpose));
        self.ask(Asked::Begin { bound, key }, |node| async move {
            let request = BeginRequest {
                to,
                purpose: self.purpose(),
                locale: None,
                workflow: None,
                code: None,
                binding: bound.then(|| BINDING.to_owned()),
                client: None,
                metadata: Vec::new(),
            };
            let remember = digests.map(|(key, fingerprint)| Remember {
                key,
                fingerprint,
                render: &render,
            });
            Ok(match node.engine.begin(&self.policy.caller(), request, remember).await? {
                Done::Now((view, new)) => Got::Begun {
                    id: of_view(&view).0,
                    new,
                    again: false,
                },
                Done::Before(rendered) => read_rendered(&rendered),
            })
        })
        .await
    }

    async fn resend(&self, id: VerificationId, channel: Option<Channel>, key: Option<u64>) -> Got {
        let digests = self.digests(key, &format!("resend {id} {channel:?}"));
        self.ask(Asked::Resend { id, key }, |node| async move {
            let remember = digests.map(|(key, fingerprint)| Remember {
                key,
                fingerprint,
                render: &render,
            });
            Ok(
                match node.engine.resend(&self.policy.caller(), id, channel, remember).await? {
                    Done::Now(view) => Got::Begun {
                        id: of_view(&view).0,
                        new: false,
                        again: false,
                    },
                    Done::Before(rendered) => read_rendered(&rendered),
                },
            )
        })
        .await
    }

    fn digests(&self, key: Option<u64>, body: &str) -> Option<([u8; 32], [u8; 32])> {
        use tapcode_engine::keyring::Digest;
        let keyring = &self.world.keyring;
        key.map(|key| {
            let scope = self.policy.name.as_bytes();
            (
                keyring.digest(Digest::IdempotencyKey, &[scope, &key.to_be_bytes()]),
                keyring.digest(Digest::RequestBody, &[body.as_bytes()]),
            )
        })
    }

    pub async fn check(&self, id: Option<VerificationId>, typed: String, bound: bool) -> Got {
        let text = typed.clone();
        self.ask(Asked::Check { id, typed, bound }, |node| async move {
            let binding = bound.then_some(BINDING);
            let caller = self.policy.caller();
            let Checked { reason, view } = match id {
                Some(id) => node.engine.check(&caller, id, &text, binding).await?,
                None => {
                    node.engine
                        .check_number(&caller, &self.spelled(), &self.purpose(), &text, binding)
                        .await?
                }
            };
            let (id, status, checks_used, arrived) = of_view(&view);
            Ok(Got::Checked {
                id,
                reason,
                status,
                checks_used,
                arrived,
            })
        })
        .await
    }

    pub async fn cancel(&self, id: VerificationId) -> Got {
        self.ask(Asked::Cancel { id }, |node| async move {
            Ok(match node.engine.cancel(&self.policy.caller(), id, None).await? {
                Done::Now(view) => Got::Stands {
                    id,
                    status: of_view(&view).1,
                },
                Done::Before(_) => Got::Other("remembered without a key".into()),
            })
        })
        .await
    }

    async fn get(&self, id: VerificationId) -> Got {
        self.ask(Asked::Get { id }, |node| async move {
            let view = node.engine.verification(&self.policy.caller(), id).await?;
            Ok(Got::Stands {
                id,
                status: of_view(&view).1,
            })
        })
        .await
    }

    async fn plain(&self) -> Got {
        let to = self.spelled();
        self.ask(Asked::Plain, |node| async move {
            let route = Route {
                channel: Channel::Sms,
                sender: 42,
                provider: "sim_sms".into(),
            };
            let content = Content::Text("Your table is free.".into());
            node.engine
                .send_message(&self.policy.caller(), &to, route, &content, (1, false), None)
                .await?;
            Ok(Got::Plain)
        })
        .await
    }

    async fn unlock(&self) -> Got {
        let to = self.spelled();
        self.ask(Asked::Unlock, |node| async move {
            let scope = self.policy.caller().scope().expect("a caller of a service");
            node.engine.unlock(&scope, &to, &By::COMMAND_LINE).await?;
            Ok(Got::Unlocked)
        })
        .await
    }

    /// Somebody of the other service asks for this one's verification.
    async fn stranger(&self, id: VerificationId) {
        let other = SERVICES.iter().find(|s| s.name != self.policy.name).expect("there are two");
        let stranger = Self {
            policy: other,
            ..self.clone()
        };
        match self.world.roll(|d| d.below(4)) {
            0 => drop(stranger.get(id).await),
            1 => drop(stranger.cancel(id).await),
            2 => drop(stranger.resend(id, None, None).await),
            _ => drop(
                stranger
                    .check(Some(id), self.code_of(id).unwrap_or_else(|| "000000".into()), false)
                    .await,
            ),
        }
    }

    /// The code of a verification as it arrived on the phone: only the provider's log knows it.
    fn code_of(&self, id: VerificationId) -> Option<String> {
        let store_knows = self.messages_of(id);
        let calls = self.world.calls.lock().unwrap();
        let arrived = calls
            .iter()
            .rev()
            .filter(|c| matches!(c.fate, Fate::Accepted | Fate::Hung | Fate::Reset));
        arrived
            .filter(|c| store_knows.iter().any(|(id, _)| *id == c.message))
            .find_map(|c| c.code.clone())
    }

    /// Which messages are a verification's: a phone shows this by what was sent last to it.
    /// The messages of a verification in their order, and the channels they took.
    fn messages_of(&self, id: VerificationId) -> Vec<(tapcode_core::id::MessageId, Channel)> {
        use tapcode_engine::contract::store::{Store, SubjectId};
        let snapshot = self.world.kept.snapshot(SubjectId::Verification(id));
        let snapshot = futures_now(snapshot).expect("the store in memory answers at once");
        match snapshot.expect("the store in memory is always there").map(|s| s.subject) {
            Some(Subject::Verification(v)) => v
                .attempts
                .iter()
                .map(|a| (a.id, v.plan.steps()[usize::from(a.step)].route.channel))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn wrong(&self) -> String {
        self.world.roll(|d| format!("{:06}", d.below(1_000_000)))
    }

    /// A whole story of one user.
    pub async fn live(self) {
        let world = Arc::clone(&self.world);
        let steps = world.roll(|d| d.between(8, 18));
        let bound = world.roll(|d| self.purpose == "pay" && d.chance(600));
        let guesses = world.roll(|d| d.chance(150));
        let mut current: Option<VerificationId> = None;
        let begin = world.roll(|d| d.below(3_000));
        world.pause(begin).await;
        for step in 0..steps {
            match (current, world.roll(|d| d.below(100))) {
                (None, _) | (_, 0..=9) => {
                    let key = world.roll(|d| d.chance(500).then(|| d.next()));
                    let got = self.begin_with_retries(bound, key).await;
                    if let Got::Begun { id, .. } = got {
                        current = Some(id);
                    }
                }
                // One that never saw the phone.
                (Some(id), 10..=79) if guesses => drop(self.check(Some(id), self.wrong(), bound).await),
                (Some(id), 10..=24) => drop(self.check(Some(id), self.wrong(), bound).await),
                (Some(id), 25..=33) => {
                    if let Some(code) = self.code_of(id) {
                        let by_id = world.roll(|d| d.chance(700)).then_some(id);
                        let spaced = format!("{}-{}", &code[..3], &code[3..]);
                        self.check(by_id, if by_id.is_some() { code } else { spaced }, bound).await;
                    }
                }
                (Some(id), 34..=44) => self.storm(id, bound).await,
                (Some(id), 45..=59) => {
                    let (channel, key) = world.roll(|d| {
                        (
                            d.pick(&[None, None, Some(Channel::Sms), Some(Channel::Whatsapp)]),
                            d.chance(500).then(|| d.next()),
                        )
                    });
                    let got = self.resend(id, channel, key).await;
                    if !got.is_known() && key.is_some() {
                        self.resend(id, channel, key).await;
                    }
                }
                (Some(id), 60..=62) => drop(self.cancel(id).await),
                (Some(id), 63..=72) => drop(self.get(id).await),
                (Some(id), 73..=77) => self.stranger(id).await,
                (Some(id), 78..=79) => {
                    // Right code, wrong transaction.
                    if let Some(code) = self.code_of(id) {
                        self.check(Some(id), code, !bound).await;
                    }
                }
                (_, 80..=82) => drop(self.plain().await),
                (_, 83..=84) => drop(self.unlock().await),
                (Some(id), 85..=86) => self.foreign_receipt(id).await,
                (Some(id), 87..=89) => {
                    // Typed at the last moment, or a moment after it.
                    let over = id.made_at().plus_millis(TTL_AROUND);
                    let wait = over.millis_since(world.now());
                    world.pause(wait + world.roll(|d| d.below(6_000))).await;
                    if let Some(code) = self.code_of(id) {
                        self.check(Some(id), code, bound).await;
                    }
                }
                _ => {}
            }
            let wait = world.roll(|d| match d.below(10) {
                0..=3 => d.below(50),
                4..=7 => d.between(100, 3_000),
                _ => d.between(3_000, 12_000),
            });
            world.pause(wait).await;
            if step == steps / 2 && world.roll(|d| d.chance(300)) {
                current = None;
            }
        }
    }

    async fn begin_with_retries(&self, bound: bool, key: Option<u64>) -> Got {
        let world = &self.world;
        if key.is_some() && world.roll(|d| d.chance(200)) {
            // Twice at once, perhaps on two nodes.
            let (one, two) = tokio::join!(self.begin(bound, key), self.begin(bound, key));
            return if matches!(one, Got::Begun { .. }) { one } else { two };
        }
        let mut got = self.begin(bound, key).await;
        for _ in 0..4 {
            // One that has its answer asks again with its key too, now and then: its own caller lost it.
            let again = if got.is_known() { world.roll(|d| d.chance(150)) } else { true };
            if key.is_none() || !again {
                break;
            }
            let wait = world.roll(|d| d.between(10, 1_500));
            world.pause(wait).await;
            let next = self.begin(bound, key).await;
            if next.is_known() || !got.is_known() {
                got = next;
            }
        }
        got
    }

    /// Many at once, on whichever nodes there are.
    async fn storm(&self, id: VerificationId, bound: bool) {
        let world = &self.world;
        let many = world.roll(|d| d.between(2, 8));
        let right = self.code_of(id).filter(|_| world.roll(|d| d.chance(500)));
        let mut all = tokio::task::JoinSet::new();
        for n in 0..many {
            let typed = match &right {
                Some(code) if n > 0 || many < 4 => code.clone(),
                _ => self.wrong(),
            };
            let user = self.clone();
            all.spawn(async move { user.check(Some(id), typed, bound).await });
        }
        let mut valid = 0;
        while let Some(got) = all.join_next().await {
            if let Ok(Got::Checked { reason: None, .. }) = got {
                valid += 1;
            }
        }
        if valid == 1 && right.is_some() {
            world.saw("of many right checks at once one was valid");
        }
    }

    /// A receipt through a sender that never carried the message; with the planted bug, as if it had.
    async fn foreign_receipt(&self, id: VerificationId) {
        let world = &self.world;
        let Some((message, carrier)) = self.messages_of(id).first().copied() else {
            return;
        };
        let scope = self.policy.caller().scope().expect("a caller of a service");
        let reference = Reference {
            key: world.keyring.recipient_key(&scope, &number(self.number, 0)),
            message,
        };
        let through = match carrier {
            _ if world.plant == Some(Plant::ForgedReceipts) => carrier,
            Channel::Sms => Channel::Whatsapp,
            _ => Channel::Sms,
        };
        let world = Arc::clone(world);
        let forged = async move { carrier::tell(&world, through, reference, true, "forged", MessageStatus::Read, true).await };
        tokio::spawn(forged);
        self.world.saw("a forged receipt came");
    }
}

/// Half a second before the end of a code's life.
const TTL_AROUND: u64 = crate::world::TTL_MS - 500;

fn of_view(view: &View) -> (VerificationId, Status, u16, bool) {
    match &view.snapshot.subject {
        Subject::Verification(v) => (v.id, v.status, v.checks_used, v.has_arrived()),
        Subject::Message(_) => panic!("a verification's view shows a verification"),
    }
}

fn of_error(error: RequestError) -> Got {
    match error {
        RequestError::Refused(refusal) => Got::Refused(refusal),
        RequestError::Unknown => Got::NotFound,
        RequestError::Engine(EngineError::Unavailable(_)) => Got::Unavailable,
        other => Got::Other(format!("{other:?}")),
    }
}

fn render(_: &Recipient, answer: &Answer, _: Timestamp) -> Rendered {
    match answer {
        Answer::Begun { verification, new } => (if *new { 201 } else { 200 }, verification.to_string().into_bytes()),
        _ => (500, Vec::new()),
    }
}

fn read_rendered((status, body): &Rendered) -> Got {
    let id = std::str::from_utf8(body)
        .ok()
        .and_then(|text| VerificationId::parse(text).ok());
    id.map_or_else(
        || Got::Other("an unreadable remembered answer".into()),
        |id| Got::Begun {
            id,
            new: *status == 201,
            again: true,
        },
    )
}

/// The result of a future that never waits.
fn futures_now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    {
        std::task::Poll::Ready(done) => Some(done),
        std::task::Poll::Pending => None,
    }
}

/// Everybody in a world: a few users to a number, so that they get in each other's way.
pub fn crowd(world: &Arc<World>) -> Vec<User> {
    let count = world.roll(|d| d.between(3, 7));
    let numbers = world.roll(|d| d.between(1, NUMBERS.len() as u64));
    (0..count)
        .map(|name| {
            let (service, of, purpose) = world.roll(|d| (d.below(2), d.below(numbers), d.pick(&["login", "pay"])));
            User {
                world: Arc::clone(world),
                policy: &SERVICES[usize::try_from(service).expect("an index fits")],
                number: usize::try_from(of).expect("an index fits"),
                purpose,
                name,
                node: None,
            }
        })
        .collect()
}

//! What is there in a simulated world? One clock, one store, two carriers, nodes that die and come back, and a record of it all.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tapcode_core::number::Number;
use tapcode_core::plan::Channel;
use tapcode_core::recipient::{Mode, ServiceName};
use tapcode_core::time::Timestamp;
use tapcode_core::verification::Limits;
use tapcode_engine::access::Caller;
use tapcode_engine::clock::Clock;
use tapcode_engine::contract::provider::SessionReceipt;
use tapcode_engine::contract::store::Right;
use tapcode_engine::egress::Egress;
use tapcode_engine::engine::{Engine, Parts};
use tapcode_engine::entropy::Entropy;
use tapcode_engine::keyring::Keyring;
use tapcode_engine::rates::RateCards;
use tapcode_engine::service::{Directory, Provider, Sender, Service, WorkflowStep};
use tapcode_store::memory::MemoryStore;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::carrier::{Call, Carrier, Told};
use crate::dice::Dice;
use crate::plant::Plant;
use crate::store::NodeStore;
use crate::users::Op;

/// When every world begins.
const DAWN_MS: i64 = 1_790_000_000_000;
/// Lifetime of a code in these worlds. Milliseconds.
pub const TTL_MS: u64 = 60_000;
/// Nodes that share the store.
pub const NODES: usize = 2;

/// What goes wrong here, and how often. Chances are out of 1,000.
#[derive(Clone, Debug)]
pub struct Weather {
    /// The store refuses before it writes anything.
    pub refused: u64,
    /// The store writes and cannot say so.
    pub unknown: u64,
    /// A node dies at a place where it waits for something outside.
    pub crash: u64,
    /// Longest answer time of the store. Milliseconds.
    pub store_ms: u64,
    /// A caller hangs up before the answer.
    pub gone: u64,
    /// Whether the clock leaps an hour ahead now and then: a long quiet time, told in an instant.
    pub leaps: bool,
    /// Calls that a sender may have under way.
    pub calls: usize,
    /// How much longer than asked every wait of an engine takes: late timers.
    pub stretch: u64,
    /// Whether the store is away altogether from time to time.
    pub outages: bool,
}

impl Weather {
    /// Whether nothing goes wrong, so that every deadline can be held to the moment.
    pub const fn is_calm(&self) -> bool {
        self.refused == 0 && self.unknown == 0 && self.crash == 0 && self.gone == 0 && !self.outages
    }

    const fn calm() -> Self {
        Self {
            refused: 0,
            unknown: 0,
            crash: 0,
            store_ms: 2,
            gone: 0,
            leaps: false,
            calls: 64,
            stretch: 2,
            outages: false,
        }
    }

    fn of(dice: &mut Dice) -> Self {
        let calm = Self::calm();
        match dice.below(8) {
            // Nothing goes wrong: here every deadline is held to the moment.
            0 => Self {
                calls: dice.pick(&[1, 64]),
                leaps: dice.chance(300),
                ..calm
            },
            1 => Self {
                crash: dice.pick(&[5, 20, 60]),
                calls: dice.pick(&[1, 64]),
                ..calm
            },
            2 => Self {
                refused: dice.pick(&[20, 100, 300]),
                unknown: dice.pick(&[0, 50]),
                store_ms: 5,
                ..calm
            },
            3 => Self {
                unknown: dice.pick(&[50, 200]),
                gone: 100,
                ..calm
            },
            4 => Self {
                gone: 300,
                store_ms: 8,
                calls: 2,
                ..calm
            },
            _ => Self {
                refused: dice.pick(&[0, 10, 50]),
                unknown: dice.pick(&[0, 20, 50]),
                crash: dice.pick(&[0, 5, 15]),
                store_ms: dice.pick(&[0, 1, 6]),
                gone: dice.pick(&[0, 50]),
                leaps: dice.chance(400),
                calls: dice.pick(&[1, 2, 64]),
                stretch: dice.pick(&[2, 5]),
                outages: dice.chance(300),
            },
        }
    }
}

/// One life of one node: from its start to its death.
pub struct Life {
    pub slot: usize,
    pub number: u64,
    pub dead: CancellationToken,
}

impl Life {
    /// Goes on while the node lives. A dead node's tasks stay where they are for ever: nothing they would still do
    /// reaches anybody, which is what a `kill -9` at this place means.
    pub async fn goes_on(&self) {
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }
}

/// A node as its callers reach it.
#[derive(Clone)]
pub struct Node {
    pub life: Arc<Life>,
    pub engine: Engine,
}

pub struct World {
    pub seed: u64,
    pub weather: Weather,
    pub plant: Option<Plant>,
    pub kept: MemoryStore,
    pub keyring: Keyring,
    dice: Mutex<Dice>,
    entropy: Mutex<Dice>,
    dawn: tokio::time::Instant,
    leapt: AtomicU64,
    /// From when to when the clock leapt.
    pub leaps: Mutex<Vec<(Timestamp, Timestamp)>>,
    pub nodes: Mutex<Vec<Option<Node>>>,
    lives: AtomicU64,
    pub sessions: Mutex<Vec<(Arc<Life>, mpsc::Sender<SessionReceipt>)>>,
    pub calls: Mutex<Vec<Call>>,
    pub told: Mutex<Vec<Told>>,
    pub history: Mutex<Vec<Op>>,
    /// From this moment on nothing goes wrong any more.
    pub healed_at: Mutex<Option<Timestamp>>,
    pub store_away: AtomicBool,
    overran: Mutex<Vec<u64>>,
    /// When a node began to stop gracefully.
    pub stops: Mutex<Vec<Timestamp>>,
    seen: Mutex<BTreeMap<&'static str, u64>>,
    trace: Mutex<Vec<String>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "world {}", self.seed)
    }
}

impl World {
    pub fn new(seed: u64, plant: Option<Plant>) -> Arc<Self> {
        let mut dice = Dice::new(seed, 1);
        let weather = Weather::of(&mut dice);
        Self::under(seed, plant, weather, dice)
    }

    /// A world in which nothing goes wrong.
    pub fn calm(seed: u64) -> Arc<Self> {
        Self::under(seed, None, Weather::calm(), Dice::new(seed, 1))
    }

    fn under(seed: u64, plant: Option<Plant>, weather: Weather, dice: Dice) -> Arc<Self> {
        Arc::new(Self {
            seed,
            weather,
            plant,
            kept: MemoryStore::new(),
            keyring: Keyring::new(&[7; 32]),
            dice: Mutex::new(dice),
            entropy: Mutex::new(Dice::new(seed, 2)),
            dawn: tokio::time::Instant::now(),
            leapt: AtomicU64::new(0),
            leaps: Mutex::default(),
            nodes: Mutex::new(vec![None; NODES]),
            lives: AtomicU64::new(0),
            sessions: Mutex::default(),
            calls: Mutex::default(),
            told: Mutex::default(),
            history: Mutex::default(),
            healed_at: Mutex::default(),
            store_away: AtomicBool::new(false),
            overran: Mutex::default(),
            stops: Mutex::default(),
            seen: Mutex::default(),
            trace: Mutex::default(),
        })
    }

    pub fn now(&self) -> Timestamp {
        let passed = u64::try_from(self.dawn.elapsed().as_millis()).expect("a world is short");
        Timestamp::from_millis(DAWN_MS).plus_millis(passed + self.leapt.load(Ordering::Relaxed))
    }

    /// The clock leaps ahead.
    pub fn leap(&self, millis: u64) {
        let from = self.now();
        self.leapt.fetch_add(millis, Ordering::Relaxed);
        self.leaps.lock().unwrap().push((from, self.now()));
        self.note(|| format!("the clock leaps {millis} ms"));
        self.saw("the clock leapt");
    }

    /// Rolls the world's dice.
    pub fn roll<T>(&self, roll: impl FnOnce(&mut Dice) -> T) -> T {
        roll(&mut self.dice.lock().unwrap())
    }

    pub async fn pause(&self, millis: u64) {
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }

    pub fn is_healed(&self) -> bool {
        self.healed_at.lock().unwrap().is_some()
    }

    /// Writes into the trace: what a seed is replayed for, and what two runs of one seed must agree on.
    pub fn note(&self, what: impl FnOnce() -> String) {
        self.trace
            .lock()
            .unwrap()
            .push(format!("{} {}", self.now().as_millis() - DAWN_MS, what()));
    }

    pub fn trace(&self) -> Vec<String> {
        self.trace.lock().unwrap().clone()
    }

    /// A rare branch was reached.
    pub fn saw(&self, what: &'static str) {
        *self.seen.lock().unwrap().entry(what).or_default() += 1;
    }

    pub fn seen(&self) -> BTreeMap<&'static str, u64> {
        self.seen.lock().unwrap().clone()
    }

    /// A node did not stop within its time.
    pub fn stop_overran(&self, life: u64) {
        self.overran.lock().unwrap().push(life);
    }

    pub fn saw_stop_overrun(&self) -> Vec<String> {
        self.overran
            .lock()
            .unwrap()
            .iter()
            .map(|life| format!("stopping: life {life} did not stop within its time"))
            .collect()
    }

    /// A place where a node waits for something outside: it may die here.
    pub async fn seam(self: &Arc<Self>, life: &Arc<Life>, place: &'static str) {
        life.goes_on().await;
        if !self.is_healed() && self.roll(|d| d.chance(self.weather.crash)) {
            self.saw(place);
            self.kill(life, place);
            life.goes_on().await;
        }
    }

    /// Kills a node, and lets it come back later.
    pub fn kill(self: &Arc<Self>, life: &Arc<Life>, place: &'static str) {
        self.note(|| format!("node {}.{} dies: {place}", life.slot, life.number));
        life.dead.cancel();
        self.nodes.lock().unwrap()[life.slot] = None;
        let after = self.roll(|d| {
            if d.chance(300) {
                d.between(5_000, 40_000)
            } else {
                d.between(10, 3_000)
            }
        });
        let (world, slot) = (Arc::clone(self), life.slot);
        tokio::spawn(async move {
            world.pause(after).await;
            world.start(slot);
        });
    }

    /// Starts a node over the one store.
    pub fn start(self: &Arc<Self>, slot: usize) {
        if self.nodes.lock().unwrap()[slot].is_some() {
            return;
        }
        let number = self.lives.fetch_add(1, Ordering::Relaxed);
        let life = Arc::new(Life {
            slot,
            number,
            dead: CancellationToken::new(),
        });
        self.note(|| format!("node {slot}.{number} starts"));
        let engine = Engine::new(Parts {
            store: Arc::new(NodeStore::new(Arc::clone(self), Arc::clone(&life))),
            clock: Arc::new(NodeClock {
                world: Arc::clone(self),
                life: Arc::clone(&life),
            }),
            entropy: Arc::new(WorldEntropy(Arc::clone(self))),
            keyring: Keyring::new(&[7; 32]),
            egress: egress(),
            directory: self.directory(&life),
            rates: RateCards::built_in(),
            history_ms: 30 * 86_400_000,
            acts_ms: 30 * 86_400_000,
            traces: None,
        });
        engine.start();
        self.nodes.lock().unwrap()[slot] = Some(Node { life, engine });
    }

    /// A living node, if there is one.
    pub fn node(&self) -> Option<Node> {
        let first = self.roll(|d| usize::try_from(d.below(NODES as u64)).expect("an index fits"));
        let nodes = self.nodes.lock().unwrap();
        (0..NODES).find_map(|n| nodes[(first + n) % NODES].clone())
    }

    fn directory(self: &Arc<Self>, life: &Arc<Life>) -> Directory {
        let sender = |channel, id, deadline_ms| {
            let carrier = Carrier {
                world: Arc::clone(self),
                life: Arc::clone(life),
                channel,
            };
            let mut sender = Sender::new(channel, id, Provider::Session(Arc::new(carrier)));
            sender.calls = Arc::new(tokio::sync::Semaphore::new(self.weather.calls));
            sender.deadline_ms = deadline_ms;
            sender
        };
        Directory::new(
            SERVICES.iter().map(|s| s.service()).collect(),
            vec![sender(Channel::Whatsapp, 1, 4_000), sender(Channel::Sms, 42, 6_000)],
        )
    }
}

/// The services of every world: small limits, so that each is reached.
pub struct Policy {
    pub name: &'static str,
    pub max_checks: u16,
    pub cooldown_ms: u32,
    pub sends: u16,
    pub lock_after: u16,
    pub lock_ms: u32,
    pub lock_for_good_after: u16,
    pub workflow: &'static [(Channel, u32)],
}

pub const SERVICES: [Policy; 2] = [
    Policy {
        name: "acme",
        max_checks: 4,
        cooldown_ms: 5_000,
        sends: 5,
        lock_after: 4,
        lock_ms: 8_000,
        lock_for_good_after: 6,
        workflow: &[(Channel::Whatsapp, 4_000), (Channel::Sms, 0)],
    },
    Policy {
        name: "bank",
        max_checks: 3,
        cooldown_ms: 8_000,
        sends: 7,
        lock_after: 3,
        lock_ms: 10_000,
        lock_for_good_after: 6,
        workflow: &[(Channel::Sms, 6_000), (Channel::Whatsapp, 3_000), (Channel::Sms, 0)],
    },
];

impl Policy {
    pub fn limits(&self) -> Limits {
        Limits {
            max_checks: self.max_checks,
            resend_cooldown_ms: self.cooldown_ms,
            max_sends_per_hour: self.sends,
            lock_after: self.lock_after,
            lock_ms: self.lock_ms,
            lock_for_good_after: self.lock_for_good_after,
        }
    }

    fn service(&self) -> Service {
        Service {
            name: ServiceName::parse(self.name).unwrap(),
            brand: self.name.into(),
            default_locale: "en".into(),
            code_length: 6,
            code_ttl_ms: TTL_MS,
            limits: self.limits(),
            own_codes: false,
            workflow: self
                .workflow
                .iter()
                .map(|(channel, wait)| WorkflowStep {
                    channel: *channel,
                    sender: None,
                    wait_ms: Some(*wait),
                })
                .collect(),
            workflows: Vec::new(),
            test_numbers: Vec::new(),
            identity_change: tapcode_core::plan::IdentityChange::default(),
            apps: Vec::new(),
            texts: Vec::new(),
        }
    }

    pub fn caller(&self) -> Caller {
        Caller {
            key: tapcode_core::id::KeyId::new(Timestamp::from_millis(0), [0; 16]),
            service: ServiceName::parse(self.name),
            mode: Mode::Live,
            rights: vec![Right::Verify, Right::Messages],
        }
    }

    pub fn of(name: &str) -> &'static Self {
        SERVICES.iter().find(|s| s.name == name).expect("only these services exist")
    }
}

/// Numbers, each in spellings that are one number.
pub const NUMBERS: [[&str; 3]; 3] = [
    ["+31611398058", "+31 6 1139 8058", "+31-(6)-11.39.80.58"],
    ["+14155550123", "+1 (415) 555-0123", "+1.415.555.0123"],
    ["+447911123456", "+44 7911 123456", "+44-7911-123456"],
];

pub fn number(of: usize, spelling: usize) -> Number {
    Number::parse(NUMBERS[of][spelling]).expect("a number that can receive a code")
}

/// No world calls anybody over HTTP; the certificates are read once for all of them.
fn egress() -> Egress {
    static EGRESS: OnceLock<Egress> = OnceLock::new();
    EGRESS
        .get_or_init(|| Egress::new().expect("the machine's certificates load"))
        .clone()
}

/// The world's clock as a node reads it: its waits are late, and a dead node's never end.
struct NodeClock {
    world: Arc<World>,
    life: Arc<Life>,
}

impl fmt::Debug for NodeClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeClock")
    }
}

#[async_trait]
impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        self.world.now()
    }

    async fn sleep(&self, millis: u64) {
        self.life.goes_on().await;
        self.world.pause(millis * self.world.weather.stretch).await;
        self.life.goes_on().await;
    }
}

struct WorldEntropy(Arc<World>);

impl fmt::Debug for WorldEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorldEntropy")
    }
}

impl Entropy for WorldEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let mut dice = self.0.entropy.lock().unwrap();
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&dice.next().to_be_bytes()[..chunk.len()]);
        }
    }
}

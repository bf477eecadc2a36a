//! How do messages and verifications do, and what do they cost? Sums over time and whatever is to be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;
use tapcode_core::money::Currency;
use tapcode_core::plan::Channel;
use tapcode_core::statistics::{DAY_HOURS, Span, Tally};
use tapcode_core::time::{HOUR_MS, Timestamp};
use tapcode_core::verification::Purpose;
use tapcode_engine::contract::store::{Right, TallyRow};
use tapcode_engine::statistics::{DAYS_KEPT, HOURS_KEPT_DAYS};
use utoipa::ToSchema;

use crate::api::Shared;
use crate::api::answers::Price;
use crate::api::call::{Answered, Call, answer};
use crate::api::operation::{Operation, Parameter, Route, Success, keyed, schema};
use crate::api::refusal::unavailable;
use crate::api::time::Moment;
use crate::limits::STATISTICS_GROUPS_MAX;
use crate::problem::{Code, Problem};

/// Days that are looked at where `from` is not said.
const DAYS_DEFAULT: u32 = 30;
const GROUP_BY_IS: &str =
    "service, purpose, country, channel, provider, and day or hour belong here, separated by commas, each once";

/// What things can be told apart by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Dimension {
    Service,
    Purpose,
    Country,
    Channel,
    Provider,
    Day,
    Hour,
}

impl Dimension {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "service" => Self::Service,
            "purpose" => Self::Purpose,
            "country" => Self::Country,
            "channel" => Self::Channel,
            "provider" => Self::Provider,
            "day" => Self::Day,
            "hour" => Self::Hour,
            _ => return None,
        })
    }

    /// Each once, and not both of day and hour.
    fn parse_all(text: &str) -> Option<BTreeSet<Self>> {
        let mut all = BTreeSet::new();
        for word in text.split(',') {
            if !all.insert(Self::parse(word)?) {
                return None;
            }
        }
        (!(all.contains(&Self::Day) && all.contains(&Self::Hour))).then_some(all)
    }
}

/// Sums, one for each group.
#[derive(Serialize, ToSchema)]
pub(crate) struct Statistics<'a> {
    /// The first moment that is counted: the beginning of an hour, or of a day where hours are no longer kept.
    #[schema(value_type = String, format = DateTime)]
    from: Moment,
    /// The first moment that is no longer counted.
    #[schema(value_type = String, format = DateTime)]
    to: Moment,
    /// In the order of time and names.
    data: Vec<StatisticsOf<'a>>,
}

/// What was counted of one group. The members that name it are there where `group_by` asks for them; `null` there means
/// that there is none: plain messages have no purpose.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatisticsOf<'a> {
    /// The beginning of the day or hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    start: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    purpose: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    channel: Option<Option<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    provider: Option<Option<&'a str>>,
    /// Verifications that began, by the route of their first message.
    begun: u64,
    /// Messages that a provider has taken.
    sent: u64,
    /// Messages that arrived.
    delivered: u64,
    /// Messages that were read, as far as readers let it be told.
    read: u64,
    /// Verifications that were approved, by the route of the message that most likely brought the code.
    converted: u64,
    /// Messages that were told to have failed.
    failed: u64,
    /// The same by the provider's code.
    failures: BTreeMap<&'a str, u64>,
    /// Messages that took the place of one that failed or did not arrive in time.
    fallbacks: u64,
    /// How long messages took to arrive; `null` where none arrived.
    delivery_ms: Option<DeliveryMs>,
    /// What messages cost, in each currency.
    cost: Vec<Price<'a>>,
    /// How many messages that is of: the others' price is not known.
    priced: u64,
    /// The cost over `converted`, rounded to millionths. Empty where nobody was verified.
    cost_per_verified: Vec<Price<'a>>,
}

/// The times within which so many of a hundred arrived. Milliseconds, to one part in a hundred.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryMs {
    p50: u64,
    p95: u64,
    p99: u64,
}

/// The operations of this page.
pub(crate) fn routes(shared: &Arc<Shared>) -> Vec<Route> {
    let [service, mode] = super::verifications::SERVICE;
    let parameter = |name, kind, means| Parameter { name, kind, means };
    let operation = Operation {
        id: "getStatistics",
        method: Method::GET,
        path: "/api/v1/stats",
        tag: "Statistics",
        summary: "Add up what happened",
        description: "Messages, verifications, delivery times and costs, by whole hours; they are a second or two behind. Hours are \
                      kept for 100 days and days for 800: what lies further back is counted by whole days. No sum knows a number.",
        needs: &[Right::Read, Right::Admin],
        query: vec![
            parameter(
                "from",
                "string",
                "The first hour, as any moment within it. Default: 30 days before `to`.",
            ),
            parameter("to", "string", "The end, rounded up to a whole hour. Default: now."),
            parameter(
                "group_by",
                "string",
                "Any of `service`, `purpose`, `country`, `channel`, `provider`, and `day` (UTC) or `hour`, separated by commas. \
                 Default: one sum of everything.",
            ),
            service,
            mode,
        ],
        body: None,
        idempotent: false,
        answers: &[Success {
            status: 200,
            means: "The sums. Groups of which nothing was counted are left out.",
            media: "application/json",
            schema: Some(schema::<Statistics<'static>>),
            example: r#"{"from":"2026-11-01T00:00:00.000Z","to":"2026-11-23T10:00:00.000Z","data":[{"country":"NL","channel":"whatsapp","begun":1200,"sent":1190,"delivered":1102,"read":640,"converted":1044,"failed":61,"failures":{"131026":61},"fallbacks":0,"delivery_ms":{"p50":1808,"p95":4928,"p99":9472},"cost":[{"amount_micros":16530000,"currency":"USD"}],"priced":1102,"cost_per_verified":[{"amount_micros":15833,"currency":"USD"}]}]}"#,
        }],
        problems: &[],
    };
    vec![keyed(operation, shared, statistics)]
}

/// What rows are added up by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    start: Option<u32>,
    service: Option<&'a str>,
    purpose: Option<Option<&'a str>>,
    country: Option<&'a str>,
    channel: Option<Option<&'static str>>,
    provider: Option<Option<&'a str>>,
}

async fn statistics(call: Call) -> Answered {
    let query = call.query();
    let (from, to) = (query.moment("from"), query.moment("to"));
    let by = query.read("group_by", (Code::InvalidRequest, GROUP_BY_IS), Dimension::parse_all);
    let service = query.service();
    let mode = query.mode();
    query.done()?;
    let by = by.unwrap_or_default();
    let caller = &call.caller;
    let (service, mode) = match &caller.service {
        Some(own) => (Some(own.clone()), caller.mode),
        None => (service, mode.unwrap_or(caller.mode)),
    };
    let now = call.engine().now();
    let to = to.unwrap_or(now);
    let from = from.unwrap_or_else(|| to.minus_millis(u64::from(DAYS_DEFAULT * DAY_HOURS) * HOUR_MS));
    let refuse = |at: &str, detail: String| Problem::at(Code::InvalidRequest, at, detail);
    if from >= to {
        return Err(refuse("?from", "a moment before `to` belongs here".into()));
    }
    let mut end = to.plus_millis(HOUR_MS - 1).hour();
    let mut start = from.hour();
    let today = now.hour() / DAY_HOURS;
    if end.saturating_sub(start) > DAYS_KEPT * DAY_HOURS {
        return Err(refuse("?from", format!("at most {DAYS_KEPT} days can be added up at once")));
    }
    let first_hour = today.saturating_sub(HOURS_KEPT_DAYS) * DAY_HOURS;
    let by_hour = by.contains(&Dimension::Hour);
    if start < first_hour {
        if by_hour {
            let detail = format!("hours are kept for {HOURS_KEPT_DAYS} days; group by day, or begin later");
            return Err(refuse("?from", detail));
        }
        start = start / DAY_HOURS * DAY_HOURS;
        if end <= first_hour {
            end = end.div_ceil(DAY_HOURS) * DAY_HOURS;
        }
    }
    let rows = call
        .engine()
        .statistics(start..end, service.as_ref(), by_hour)
        .await
        .map_err(|error| unavailable(&error))?;
    let mut sums: BTreeMap<Key<'_>, Tally> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.group.scope.mode == mode) {
        sums.entry(key(row, &by)).or_default().add(&row.tally);
        if sums.len() > STATISTICS_GROUPS_MAX {
            let detail =
                format!("that makes more than {STATISTICS_GROUPS_MAX} groups; ask for a shorter time or tell less apart");
            return Err(refuse("?group_by", detail));
        }
    }
    let data = sums.iter().map(|(key, tally)| shown(key, tally)).collect();
    let shown = Statistics {
        from: moment(start),
        to: moment(end),
        data,
    };
    Ok(answer(StatusCode::OK, &shown))
}

fn key<'a>(row: &'a TallyRow, by: &BTreeSet<Dimension>) -> Key<'a> {
    let group = &row.group;
    let has = |dimension| by.contains(&dimension);
    let hour = match row.span {
        Span::Hour => row.start,
        Span::Day => row.start.saturating_mul(DAY_HOURS),
    };
    Key {
        start: if has(Dimension::Hour) {
            Some(hour)
        } else {
            has(Dimension::Day).then_some(hour / DAY_HOURS * DAY_HOURS)
        },
        service: has(Dimension::Service).then(|| group.scope.service.as_str()),
        purpose: has(Dimension::Purpose).then(|| group.purpose.as_ref().map(Purpose::as_str)),
        country: has(Dimension::Country).then(|| group.country.as_str()),
        channel: has(Dimension::Channel).then(|| group.channel.map(Channel::as_str)),
        provider: has(Dimension::Provider).then_some(group.provider.as_deref()),
    }
}

fn moment(hour: u32) -> Moment {
    Moment(Timestamp::from_hour(hour))
}

fn shown<'a>(key: &Key<'a>, tally: &'a Tally) -> StatisticsOf<'a> {
    let costs = || tally.cost.iter().map(|(currency, amount_micros)| (currency, *amount_micros));
    let price = |(currency, amount_micros): (&'a Currency, i64)| Price::of(amount_micros, currency);
    let verified = i64::try_from(tally.converted).ok().filter(|verified| *verified > 0);
    let each = |amount: i64| verified.map(|verified| rounded(amount, verified));
    StatisticsOf {
        start: key.start.map(moment),
        service: key.service,
        purpose: key.purpose,
        country: key.country,
        channel: key.channel,
        provider: key.provider,
        begun: tally.begun,
        sent: tally.sent,
        delivered: tally.delivered,
        read: tally.read,
        converted: tally.converted,
        failed: tally.failed.values().fold(0, |sum, times| sum.saturating_add(*times)),
        failures: tally.failed.iter().map(|(code, times)| (&**code, *times)).collect(),
        fallbacks: tally.fallbacks,
        delivery_ms: tally
            .delivery_times
            .percentiles([50.0, 95.0, 99.0])
            .map(|[p50, p95, p99]| DeliveryMs { p50, p95, p99 }),
        cost: costs().map(price).collect(),
        priced: tally.priced,
        cost_per_verified: costs()
            .filter_map(|(currency, amount)| Some(price((currency, each(amount)?))))
            .collect(),
    }
}

/// The nearest whole number to a fraction; halves go away from zero.
fn rounded(amount: i64, by: i64) -> i64 {
    let half = i128::from(by / 2) * i128::from(amount.signum());
    let quotient = (i128::from(amount) + half) / i128::from(by);
    i64::try_from(quotient).expect("no more than what was divided")
}

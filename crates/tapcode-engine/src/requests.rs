//! What can a caller ask for? Verifications and plain messages, resolved against the configuration and applied.

use tapcode_core::audit::{By, Deed, Object};
use tapcode_core::code::{Code, CodeError};
use tapcode_core::entry::{CheckReason, Entry, Refusal};
use tapcode_core::id::{MessageId, VerificationId};
use tapcode_core::number::Number;
use tapcode_core::plan::{Channel, Route};
use tapcode_core::recipient::{Mode, Recipient, RecipientKey, Scope};
use tapcode_core::step::{Addressee, Answer, Begin, Input, NewMessage};
use tapcode_core::time::Timestamp;
use tapcode_core::verification::{Binding, ClientHints, CodeSource, Purpose, Status, Verification};

use crate::access::Caller;
use crate::contract::provider::Content;
use crate::contract::store::{Browse, Page, Snapshot, StoreError, Subject, SubjectId};
use crate::engine::{Applied, Beside, Engine, EngineError, Remember};
use crate::keyring::{Digest, Use};
use crate::service::{PlanError, Planned, SANDBOX_SENDER, Sender, Service, WorkflowStep};

/// Longest canonical form of a binding, in bytes.
pub const BINDING_MAX: usize = 1_024;
/// Most entries of a timeline that are returned.
pub const TIMELINE_MAX: usize = 400;

/// A verification as a caller asks for it, checked for form.
#[derive(Debug)]
pub struct BeginRequest {
    /// To whom.
    pub to: Number,
    /// What the code is for.
    pub purpose: Purpose,
    /// The language asked for, BCP 47.
    pub locale: Option<Box<str>>,
    /// The workflow asked for.
    pub workflow: Option<Vec<WorkflowStep>>,
    /// The caller's own code.
    pub code: Option<Code>,
    /// The canonical form of the binding.
    pub binding: Option<String>,
    /// Hints about the user's device.
    pub client: Option<ClientHints>,
    /// The caller's own pairs.
    pub metadata: Vec<(Box<str>, Box<str>)>,
}

/// Why a request cannot be decided, or was decided against.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The domain says no.
    #[error("refused")]
    Refused(Refusal),
    /// The service does not let callers bring codes.
    #[error("this service makes its own codes")]
    OwnCodesOff,
    /// The workflow cannot be taken.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The code could be nobody's: it is no guess, and was not counted.
    #[error("{0}")]
    Code(CodeError),
    /// No such verification or message here.
    #[error("nothing here has that name")]
    Unknown,
    /// The caller's service is not configured on this server.
    #[error("the key's service is not configured")]
    NoService,
    /// No such sender on that channel.
    #[error("no sender {1} is configured for the channel {0}")]
    UnknownSender(Channel, u32),
    /// It could not be done.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<StoreError> for RequestError {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

/// A verification with what its number's document adds.
#[derive(Debug)]
pub struct View {
    /// The verification.
    pub snapshot: Snapshot,
    /// Messages that may still be queued to the number within this hour; 0 once the verification has ended.
    pub sends_left: u16,
    /// When the next request to send will no longer be refused; `None` once the verification has ended.
    pub resend_at: Option<Timestamp>,
    /// The number in full, for a key that may read it and while it is kept.
    pub number: Option<Number>,
}

/// The result of a check.
#[derive(Debug)]
pub struct Checked {
    /// `None`: valid.
    pub reason: Option<CheckReason>,
    /// The verification after the check.
    pub view: View,
}

/// What a request came to.
#[derive(Debug)]
pub enum Done<T> {
    /// This.
    Now(T),
    /// The same request was answered before, with this status and body.
    Before((u16, Vec<u8>)),
}

impl Engine {
    /// Begins a verification, or resends the pending one of the same service, number and purpose.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn begin(
        &self,
        caller: &Caller,
        request: BeginRequest,
        remember: Option<Remember<'_>>,
    ) -> Result<Done<(View, bool)>, RequestError> {
        let scope = caller.scope().ok_or(RequestError::NoService)?;
        let directory = self.directory();
        let service = directory.service(&scope.service).ok_or(RequestError::NoService)?;
        if request.code.is_some() && !service.own_codes {
            return Err(RequestError::OwnCodesOff);
        }
        let installed = request.client.as_ref().and_then(|c| c.whatsapp_installed);
        let Planned { plan, passed_over } =
            directory.plan(service, scope.mode, &request.to, request.workflow.as_deref(), installed)?;
        let key = self.inner.keyring.recipient_key(&scope, &request.to);
        let locale = request
            .locale
            .or_else(|| crate::locale::of_country(request.to.country()).map(Into::into))
            .unwrap_or_else(|| service.default_locale.clone());
        let begin = Begin {
            addressee: self.addressee(&scope, &request.to),
            purpose: request.purpose,
            ttl_ms: service.code_ttl_ms,
            limits: service.limits,
            code: self.code_source(service, scope.mode, &request.to, request.code),
            binding: request.binding.map(|text| self.binding(&scope, &text)),
            locale,
            plan,
            passed_over,
            client: request.client.map(Box::new),
            metadata: request.metadata,
        };
        let input = |_: Option<&Recipient>, _: Timestamp| Ok(Input::Begin(Box::new(begin.clone())));
        match self.apply(key, remember, input).await? {
            Applied::Before(rendered) => Ok(Done::Before(rendered)),
            Applied::Now {
                answer, document, at, ..
            } => match (answer.map_err(RequestError::Refused)?, document) {
                (Answer::Begun { verification, new }, Some(document)) => {
                    let view = self
                        .view_in(key, &document, verification, at, caller)
                        .ok_or(RequestError::Unknown)?;
                    Ok(Done::Now((view, new)))
                }
                _ => Err(RequestError::Unknown),
            },
        }
    }

    /// Sends the code of a pending verification again.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn resend(
        &self,
        caller: &Caller,
        id: VerificationId,
        channel: Option<Channel>,
        remember: Option<Remember<'_>>,
    ) -> Result<Done<View>, RequestError> {
        let snapshot = self.own_verification(caller, id).await?;
        let input = |_: Option<&Recipient>, _: Timestamp| {
            Ok(Input::Resend {
                verification: id,
                channel,
            })
        };
        self.apply_to(caller, snapshot, id, false, remember, input).await
    }

    /// Gives a verification up.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn cancel(
        &self,
        caller: &Caller,
        id: VerificationId,
        remember: Option<Remember<'_>>,
    ) -> Result<Done<View>, RequestError> {
        let snapshot = self.own_verification(caller, id).await?;
        let input = |_: Option<&Recipient>, _: Timestamp| Ok(Input::Cancel { verification: id });
        self.apply_to(caller, snapshot, id, true, remember, input).await
    }

    /// Applies an input to a verification; one that `gives_up` may be repeated.
    async fn apply_to<I>(
        &self,
        caller: &Caller,
        snapshot: Snapshot,
        id: VerificationId,
        gives_up: bool,
        remember: Option<Remember<'_>>,
        input: I,
    ) -> Result<Done<View>, RequestError>
    where
        I: Fn(Option<&Recipient>, Timestamp) -> Result<Input, Refusal> + Send + Sync,
    {
        let key = snapshot.key;
        match self.apply(key, remember, input).await? {
            Applied::Before(rendered) => Ok(Done::Before(rendered)),
            Applied::Now {
                answer, document, at, ..
            } => match answer {
                Ok(_) => {
                    let view = document.and_then(|d| self.view_in(key, &d, id, at, caller));
                    Ok(Done::Now(view.unwrap_or_else(|| ended(snapshot))))
                }
                // The document has forgotten it, history has not: it ended long ago.
                Err(Refusal::UnknownVerification) => match &snapshot.subject {
                    Subject::Verification(v) if v.status == Status::Canceled && gives_up => Ok(Done::Now(ended(snapshot))),
                    Subject::Verification(v) => Err(RequestError::Refused(Refusal::NotPending { status: v.status })),
                    Subject::Message(_) => Err(RequestError::Unknown),
                },
                Err(refusal) => Err(RequestError::Refused(refusal)),
            },
        }
    }

    /// Checks a code against one verification.
    ///
    /// # Errors
    /// [`RequestError`]; [`RequestError::Code`] for a text that could be no code: it is not counted.
    pub async fn check(
        &self,
        caller: &Caller,
        id: VerificationId,
        typed: &str,
        binding: Option<&str>,
    ) -> Result<Checked, RequestError> {
        let snapshot = self.own_verification(caller, id).await?;
        let key = snapshot.key;
        self.check_in(caller, key, typed, binding, &|_| Some(id), Some(snapshot))
            .await
    }

    /// Checks a code against the pending, else the latest verification of a number for a purpose.
    ///
    /// # Errors
    /// [`RequestError`]; [`RequestError::Unknown`] when there is none.
    pub async fn check_number(
        &self,
        caller: &Caller,
        to: &Number,
        purpose: &Purpose,
        typed: &str,
        binding: Option<&str>,
    ) -> Result<Checked, RequestError> {
        let scope = caller.scope().ok_or(RequestError::NoService)?;
        let key = self.inner.keyring.recipient_key(&scope, to);
        self.check_in(
            caller,
            key,
            typed,
            binding,
            &|document| document.latest(purpose).map(|v| v.id),
            None,
        )
        .await
    }

    async fn check_in(
        &self,
        caller: &Caller,
        key: RecipientKey,
        typed: &str,
        binding: Option<&str>,
        which: &(dyn Fn(&Recipient) -> Option<VerificationId> + Sync),
        snapshot: Option<Snapshot>,
    ) -> Result<Checked, RequestError> {
        let malformed = std::sync::OnceLock::new();
        let chosen = std::sync::Mutex::new(None);
        let input = |document: Option<&Recipient>, _: Timestamp| {
            let found = document.and_then(|d| which(d).and_then(|id| d.verification(id)).map(|v| (d, v)));
            let (document, verification) = found.ok_or(Refusal::UnknownVerification)?;
            let typed = match Code::typed(typed, verification.code.alphabet()) {
                Ok(typed) => typed,
                Err(error) => {
                    let _first = malformed.set(error);
                    return Err(Refusal::UnknownVerification);
                }
            };
            *chosen.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(verification.id);
            Ok(Input::Check {
                verification: verification.id,
                code_matches: self.inner.keyring.code(verification).is_some_and(|code| code.matches(&typed)),
                binding_matches: self.binding_matches(&document.scope, verification, binding),
            })
        };
        let applied = self.apply(key, None, input).await?;
        if let Some(error) = malformed.into_inner() {
            return Err(RequestError::Code(error));
        }
        let Applied::Now {
            answer, document, at, ..
        } = applied
        else {
            return Err(RequestError::Unknown);
        };
        match answer {
            Ok(Answer::Checked { reason, .. }) => {
                let id = chosen
                    .into_inner()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .ok_or(RequestError::Unknown)?;
                let view = document.and_then(|d| self.view_in(key, &d, id, at, caller));
                Ok(Checked {
                    reason,
                    view: view.ok_or(RequestError::Unknown)?,
                })
            }
            Ok(_) => Err(RequestError::Unknown),
            Err(Refusal::UnknownVerification) => {
                // The document has forgotten it, history has not: it ended long ago.
                let snapshot = snapshot.ok_or(RequestError::Unknown)?;
                let Subject::Verification(v) = &snapshot.subject else {
                    return Err(RequestError::Unknown);
                };
                let reason = match v.status {
                    Status::Approved => CheckReason::AlreadyUsed,
                    Status::Canceled => CheckReason::Canceled,
                    Status::MaxChecksReached => CheckReason::TooManyChecks,
                    Status::Pending | Status::Expired | Status::Failed | Status::Blocked => CheckReason::Expired,
                };
                Code::typed(typed, v.code.alphabet()).map_err(RequestError::Code)?;
                Ok(Checked {
                    reason: Some(reason),
                    view: ended(snapshot),
                })
            }
            Err(refusal) => Err(RequestError::Refused(refusal)),
        }
    }

    /// A verification as it stands.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn verification(&self, caller: &Caller, id: VerificationId) -> Result<View, RequestError> {
        let snapshot = self.own_verification(caller, id).await?;
        self.view_of(caller, snapshot).await
    }

    /// A snapshot with what its number's document adds. One that is over and not yet written down as such is, first.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn view_of(&self, caller: &Caller, snapshot: Snapshot) -> Result<View, RequestError> {
        let Subject::Verification(verification) = &snapshot.subject else {
            return Err(RequestError::Unknown);
        };
        let (key, id, at) = (snapshot.key, verification.id, self.now());
        let document = if verification.status == Status::Pending && verification.expires_at <= at {
            match self
                .apply(key, None, |_: Option<&Recipient>, _: Timestamp| Ok(Input::Tick))
                .await?
            {
                Applied::Now { document, .. } => document,
                Applied::Before(_) => None,
            }
        } else {
            self.inner.store.load(&key).await?.map(|loaded| loaded.value)
        };
        Ok(document
            .and_then(|d| self.view_in(key, &d, id, at, caller))
            .unwrap_or_else(|| ended(snapshot)))
    }

    /// A page of verifications, newest first. An admin key names the service in `scope`.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn browse(&self, browse: &Browse) -> Result<Page, RequestError> {
        Ok(self.inner.store.browse(browse).await?)
    }

    /// Everything that reached a verification, oldest first.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn timeline(&self, caller: &Caller, id: VerificationId) -> Result<Vec<Entry>, RequestError> {
        self.own_verification(caller, id).await?;
        Ok(self.inner.store.timeline(SubjectId::Verification(id), TIMELINE_MAX).await?)
    }

    /// Lifts the lock of a number in a scope; `false` when nothing is known of it.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn unlock(&self, scope: &Scope, number: &Number, by: &By) -> Result<bool, RequestError> {
        let key = self.inner.keyring.recipient_key(scope, number);
        let act = self.act(by, Deed::RecipientUnlocked, &Object::Recipient(number.masked()));
        let beside = Beside {
            act: Some(act.of(Some(scope.service.clone())).with(scope.mode.as_str())),
            ..Beside::default()
        };
        match self
            .apply_with(key, None, beside, |_: Option<&Recipient>, _: Timestamp| Ok(Input::Unlock))
            .await?
        {
            Applied::Now { document, .. } => Ok(document.is_some()),
            Applied::Before(_) => Ok(false),
        }
    }

    /// The sender that a plain message of this caller would go from.
    ///
    /// # Errors
    /// [`RequestError`] when there is none.
    pub fn plain_sender(&self, caller: &Caller, channel: Channel, id: u32) -> Result<std::sync::Arc<Sender>, RequestError> {
        let directory = self.directory();
        let named = directory.sender(channel, id).filter(|s| s.id != SANDBOX_SENDER);
        let sender = match caller.mode {
            Mode::Live => named,
            // The named one must exist, so that a test finds the same mistakes; the sandbox carries the message.
            Mode::Test => named.and_then(|_| directory.sender(channel, SANDBOX_SENDER)),
        };
        Ok(std::sync::Arc::clone(sender.ok_or(RequestError::UnknownSender(channel, id))?))
    }

    /// Queues a plain message.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn send_message(
        &self,
        caller: &Caller,
        to: &Number,
        route: Route,
        content: &Content,
        (segments, ucs2): (u8, bool),
        remember: Option<Remember<'_>>,
    ) -> Result<Done<Snapshot>, RequestError> {
        let scope = caller.scope().ok_or(RequestError::NoService)?;
        let key = self.inner.keyring.recipient_key(&scope, to);
        let packed = crate::call::payload::pack(content).ok_or(RequestError::Unknown)?;
        let new = NewMessage {
            addressee: self.addressee(&scope, to),
            route,
            payload: self.inner.keyring.seal(Use::Payload, &packed, &*self.inner.entropy),
            segments,
            ucs2,
        };
        let input = |_: Option<&Recipient>, _: Timestamp| Ok(Input::SendMessage(Box::new(new.clone())));
        match self.apply(key, remember, input).await? {
            Applied::Before(rendered) => Ok(Done::Before(rendered)),
            Applied::Now { answer, document, .. } => match (answer.map_err(RequestError::Refused)?, document) {
                (Answer::Queued { message }, Some(document)) => {
                    let plain = document.message(message).cloned().ok_or(RequestError::Unknown)?;
                    Ok(Done::Now(Snapshot {
                        key,
                        scope,
                        masked: document.masked.clone(),
                        country: document.country,
                        subject: Subject::Message(plain),
                    }))
                }
                _ => Err(RequestError::Unknown),
            },
        }
    }

    /// A plain message as it stands. With `until` it returns once that holds, or after `timeout_ms`.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn message(
        &self,
        caller: &Caller,
        id: MessageId,
        until: Option<&(dyn Fn(&tapcode_core::delivery::Delivery) -> bool + Sync)>,
        timeout_ms: u64,
    ) -> Result<Snapshot, RequestError> {
        let subject = SubjectId::Message(id);
        let deadline = self.now().plus_millis(timeout_ms);
        let waiter = self.inner.waiters.register(subject);
        loop {
            let news = waiter.news();
            let snapshot = self.inner.store.snapshot(subject).await?.filter(|s| owns(caller, &s.scope));
            let snapshot = snapshot.ok_or(RequestError::Unknown)?;
            let Subject::Message(message) = &snapshot.subject else {
                return Err(RequestError::Unknown);
            };
            let left = deadline.millis_since(self.now());
            if left == 0 || until.is_none_or(|until| until(&message.delivery)) {
                return Ok(snapshot);
            }
            // News from another node reaches only the store: look again from time to time.
            tokio::select! {
                () = news => {}
                () = self.inner.clock.sleep(left.min(OTHER_NODES_MS)) => {}
            }
        }
    }

    async fn own_verification(&self, caller: &Caller, id: VerificationId) -> Result<Snapshot, RequestError> {
        let snapshot = self.inner.store.snapshot(SubjectId::Verification(id)).await?;
        snapshot.filter(|s| owns(caller, &s.scope)).ok_or(RequestError::Unknown)
    }

    fn addressee(&self, scope: &Scope, to: &Number) -> Addressee {
        Addressee {
            scope: scope.clone(),
            number: self.inner.keyring.seal_number(to, &*self.inner.entropy),
            masked: to.masked(),
            country: to.country(),
        }
    }

    fn code_source(&self, service: &Service, mode: Mode, to: &Number, own: Option<Code>) -> CodeSource {
        let fixed = || {
            service
                .test_numbers
                .iter()
                .find(|(number, _)| number == to)
                .map(|(_, code)| code.clone())
        };
        let own = own.or_else(|| if mode == Mode::Test { fixed() } else { None });
        let Some(code) = own else {
            return CodeSource::Derived {
                length: service.code_length,
            };
        };
        let text = code.expose().as_bytes();
        let digest = self.inner.keyring.digest(
            Digest::OwnCode,
            &[service.name.as_str().as_bytes(), to.expose().as_bytes(), text],
        );
        CodeSource::Own {
            sealed: self.inner.keyring.seal(Use::Code, text, &*self.inner.entropy),
            alphabet: code.alphabet(),
            digest: digest[..16].try_into().expect("half of 32 is 16"),
        }
    }

    fn binding(&self, scope: &Scope, text: &str) -> Binding {
        Binding {
            digest: self.binding_digest(scope, text),
            sealed: self.inner.keyring.seal(Use::Binding, text.as_bytes(), &*self.inner.entropy),
        }
    }

    fn binding_digest(&self, scope: &Scope, text: &str) -> [u8; 32] {
        self.inner
            .keyring
            .digest(Digest::Binding, &[scope.service.as_str().as_bytes(), text.as_bytes()])
    }

    fn binding_matches(&self, scope: &Scope, verification: &Verification, presented: Option<&str>) -> bool {
        match (&verification.binding, presented) {
            (None, None) => true,
            (Some(binding), Some(text)) => crate::keyring::same(&binding.digest, &self.binding_digest(scope, text)),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// A verification of a document, as a caller may see it.
    #[must_use]
    pub fn view_in(
        &self,
        key: RecipientKey,
        document: &Recipient,
        id: VerificationId,
        at: Timestamp,
        caller: &Caller,
    ) -> Option<View> {
        let verification = document.verification(id)?;
        let pending = verification.status == Status::Pending;
        let number = document
            .number
            .as_ref()
            .filter(|_| caller.may(crate::contract::store::Right::Read))
            .and_then(|sealed| self.inner.keyring.open_number(sealed));
        Some(View {
            sends_left: if pending {
                document.sends_left(verification.limits.max_sends_per_hour, at)
            } else {
                0
            },
            resend_at: pending.then(|| document.resend_at(&verification.limits, at)),
            number,
            snapshot: Snapshot {
                key,
                scope: document.scope.clone(),
                masked: document.masked.clone(),
                country: document.country,
                subject: Subject::Verification(verification.clone()),
            },
        })
    }
}

/// How often one that waits looks at the store without having been told. Milliseconds.
const OTHER_NODES_MS: u64 = 1_000;

/// Another service's id is the same as an unknown one; an admin key sees all.
fn owns(caller: &Caller, scope: &Scope) -> bool {
    match caller.scope() {
        Some(own) => own == *scope,
        None => caller.may(crate::contract::store::Right::Admin),
    }
}

fn ended(snapshot: Snapshot) -> View {
    View {
        snapshot,
        sends_left: 0,
        resend_at: None,
        number: None,
    }
}

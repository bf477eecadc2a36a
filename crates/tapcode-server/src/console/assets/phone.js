// How does the simulated phone page follow the server, and what does it ask of it?
//
// The server is the only source of truth: the page draws what the stream says and never guesses.
// Everything that came from outside is written with `textContent`; nothing here builds HTML from text.

const BASE = "/phone";

// Bounds on what the page keeps, so that a tab left open for a week stays as light as a new one.
const PHONES_MAX = 48;
const MESSAGES_PER_PHONE_MAX = 40;
const TIMELINE_ENTRIES_MAX = 200;
const VERIFICATIONS_PER_NUMBER_MAX = 50;
const NUMBERS_REMEMBERED_MAX = 200;
const ANNOUNCEMENTS_MAX = 10;
const DELAY_MS_MAX = 60_000;

const RECONNECT_FIRST_MS = 1_000;
const RECONNECT_MAX_MS = 10_000;
const REQUEST_MAX_MS = 15_000;
const COPIED_SHOWN_MS = 2_000;

// How many of the colours in the style sheet tell phones apart (`data-hue`).
const HUES = 6;

const KINDS = ["begin", "send", "receipt", "fallback", "check", "expire", "refuse", "other"];

// The switch is about WhatsApp; SMS always arrives, so that a fallback has somewhere to go.
const DELIVERY_HELP = {
  normal: "WhatsApp messages arrive and their receipts come back at once.",
  never: "WhatsApp accepts the message, but it never arrives and no receipt comes. SMS still arrives.",
  late: "The WhatsApp message itself comes late, 15 s after it was sent, and its receipts with it. SMS is not late.",
  duplicate: "Every WhatsApp receipt comes twice. The second one must change nothing.",
  provider_down: "Every call for WhatsApp fails and sends nothing. SMS still arrives.",
};

const REASONS = {
  incorrect_code: "that is not the code",
  expired: "the code has expired",
  too_many_checks: "too many checks",
  already_used: "the code was already used",
  canceled: "the verification was canceled",
  binding_mismatch: "the details to confirm do not match",
};

const phones = new Map(); // number → card
const verifications = new Map(); // number → verification ids in the order in which they were first seen
let brand = "";
let nextHue = 0;
let firstSnapshotDrawn = false;

const page = Object.fromEntries(
  ["announcer", "brand", "live", "add-phone", "begin-form", "begin-number", "begin-result", "begin-send", "phone-row",
    "phones-empty", "phones-full", "timeline", "timeline-empty", "timeline-filter", "timeline-scroll"]
    .map((id) => [id, document.getElementById(id)]),
);

// ---------------------------------------------------------------- the stream

function follow(waitMs = RECONNECT_FIRST_MS) {
  const stream = new EventSource(`${BASE}/stream`);
  let wait = waitMs;

  on(stream, "snapshot", (snapshot) => {
    wait = RECONNECT_FIRST_MS;
    showLive("live", "Live");
    drawSnapshot(snapshot);
  });
  on(stream, "phone", drawPhone);
  on(stream, "decision", drawDecision);

  stream.addEventListener("error", () => {
    showLive("lost", "Reconnecting");
    // The browser reconnects by itself after a dropped line, but gives up after an HTTP error:
    // then, and only then, is it ours to try again.
    if (stream.readyState === EventSource.CLOSED) {
      setTimeout(() => follow(Math.min(wait * 2, RECONNECT_MAX_MS)), wait);
    }
  });
}

function on(stream, name, draw) {
  stream.addEventListener(name, (event) => {
    let data;
    try {
      data = JSON.parse(event.data);
    } catch {
      console.warn(`tapcode: an event "${name}" was not JSON and is left out`);
      return;
    }
    draw(data);
  });
}

function showLive(state, words) {
  // A live region that is written again is read again, so only a change is written.
  if (page.live.dataset.state === state) return;
  page.live.dataset.state = state;
  page.live.textContent = words;
}

function drawSnapshot(snapshot) {
  brand = snapshot.brand ?? "";
  page.brand.textContent = brand ? ` of ${brand}` : "";
  const present = new Set(snapshot.phones.map((phone) => phone.number));
  for (const [number, card] of phones) {
    if (!present.has(number)) forgetPhone(number, card);
  }
  snapshot.phones.forEach(drawPhone);
  page["phones-empty"].hidden = phones.size > 0;
  firstSnapshotDrawn = true;
}

// ---------------------------------------------------------------- phones

function drawPhone(phone) {
  let card = phones.get(phone.number);
  if (!card) {
    if (phones.size >= PHONES_MAX) {
      page["phones-full"].textContent = `Only the first ${PHONES_MAX} phones are shown.`;
      page["phones-full"].hidden = false;
      return;
    }
    card = addCard(phone.number);
  }
  const messages = [...phone.messages]
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at))
    .slice(-MESSAGES_PER_PHONE_MAX);
  messages.forEach((message) => noteVerification(phone.number, message.verification_id));
  card.network = phone.network;
  if (card.networkCalls === 0) drawNetwork(card);
  drawMessages(card, messages);
}

function addCard(number) {
  const root = stamp("phone-template");
  const part = parts(root);
  const whatsapp = paneOf(root, "whatsapp");
  const sms = paneOf(root, "sms");
  const card = { number, root, part, whatsapp, sms, drawn: new Map(), messages: [], network: null, networkCalls: 0, reading: new Set() };

  root.dataset.testid = `phone-${number}`;
  root.dataset.hue = String(nextHue++ % HUES);
  part.number.textContent = number;
  part.number.id = `number-${nextHue}`;
  root.setAttribute("aria-labelledby", part.number.id);
  part["net-help"].id = `help-${nextHue}`;
  part["net-deliver"].setAttribute("aria-describedby", part["net-help"].id);
  part.result.id = `result-${nextHue}`;
  part.code.setAttribute("aria-describedby", part.result.id);
  part.send.setAttribute("aria-label", `Send code to ${number}`);
  whatsapp.body.setAttribute("aria-label", `WhatsApp messages on ${number}`);
  sms.body.setAttribute("aria-label", `Text messages on ${number}`);

  part.send.addEventListener("click", () => begin(number));
  part.check.addEventListener("submit", (event) => {
    event.preventDefault();
    check(card);
  });
  part["net-whatsapp"].addEventListener("change", () => changeNetwork(card));
  part["net-deliver"].addEventListener("change", () => changeNetwork(card));
  part["net-delay"].addEventListener("change", () => changeNetwork(card));
  whatsapp.part["mark-read"].addEventListener("click", () => {
    markRead(card);
    whatsapp.body.focus();
  });
  // Touching the phone is how a person opens a message; the button above does the same for a keyboard.
  part.screen.addEventListener("click", () => markRead(card));

  phones.set(number, card);
  page["phone-row"].append(root);
  page["phones-empty"].hidden = true;
  const option = document.createElement("option");
  option.value = number;
  option.textContent = number;
  page["timeline-filter"].append(option);
  document.querySelectorAll(".entry").forEach((entry) => {
    if (entry.dataset.number === number) entry.dataset.hue = root.dataset.hue;
  });
  return card;
}

function forgetPhone(number, card) {
  card.root.remove();
  phones.delete(number);
  for (const option of [...page["timeline-filter"].options]) {
    if (option.value === number) option.remove();
  }
  filterTimeline();
}

function paneOf(root, channel) {
  const pane = root.querySelector(`.pane-${channel}`);
  const part = parts(pane);
  return { root: pane, part, body: part.body, list: part.messages };
}

// ---------------------------------------------------------------- messages

function drawMessages(card, messages) {
  card.messages = messages;
  const kept = new Set(messages.map((message) => message.id));
  for (const [id, drawn] of card.drawn) {
    if (!kept.has(id)) {
      drawn.node.remove();
      card.drawn.delete(id);
      card.reading.delete(id);
    }
  }
  drawPane(card, card.whatsapp, messages.filter((message) => message.channel === "whatsapp"));
  drawPane(card, card.sms, messages.filter((message) => message.channel === "sms"));
  card.whatsapp.part["mark-read"].hidden = unread(card).length === 0;
}

function drawPane(card, pane, messages) {
  const sender = (messages.at(-1) ?? card.messages.at(-1))?.sender || brand;
  pane.part.sender.textContent = sender;
  pane.part.initial.textContent = [...sender][0] ?? "";

  let grew = false;
  messages.forEach((message, index) => {
    // Whether it was read does not change the bubble, and a bubble that is redrawn loses its focus.
    const face = JSON.stringify([message.status, message.body, message.footer, message.button, message.code, message.at]);
    const before = card.drawn.get(message.id);
    if (before?.face !== face) {
      const node = messageNode(message);
      const arrives = message.status === "arrived" && before?.status !== "arrived";
      if (arrives && firstSnapshotDrawn) {
        node.classList.add("is-new");
        announce(message, card.number);
      }
      before?.node.replaceWith(node);
      card.drawn.set(message.id, { face, node, status: message.status });
      grew = true;
    }
    const { node } = card.drawn.get(message.id);
    if (pane.list.children[index] !== node) pane.list.insertBefore(node, pane.list.children[index] ?? null);
  });

  const onWhatsapp = card.network.whatsapp;
  const absent = pane === card.whatsapp && !onWhatsapp;
  pane.part.empty.hidden = messages.length > 0;
  pane.part.empty.textContent = absent ? "This number is not on WhatsApp." : "No messages yet";
  pane.root.classList.toggle("is-absent", absent && messages.length === 0);
  if (pane === card.whatsapp) pane.part.kind.textContent = onWhatsapp ? "WhatsApp" : "WhatsApp · no account";

  if (grew) pane.body.scrollTop = pane.body.scrollHeight;
  // A region that scrolls must be reachable by keyboard; one that does not would be an idle tab stop.
  if (pane.body.scrollHeight > pane.body.clientHeight + 1) pane.body.tabIndex = 0;
  else pane.body.tabIndex = -1;
}

function messageNode(message) {
  if (message.status !== "arrived") return hintNode(message);
  return message.channel === "whatsapp" ? whatsappNode(message) : smsNode(message);
}

function hintNode(message) {
  const node = stamp("hint-template");
  node.dataset.status = message.status;
  parts(node).text.textContent = message.status === "lost" ? "A message never arrived" : "On its way";
  return node;
}

function whatsappNode(message) {
  const node = stamp("whatsapp-template");
  const part = parts(node);
  node.dataset.message = message.id;
  // WhatsApp marks bold as *bold*.
  const pieces = message.body.split(/\*([^*\n]+)\*/);
  pieces.forEach((piece, index) => part.text.append(index % 2 ? strong(piece) : piece));
  part.footer.textContent = message.footer ?? "";
  drawTime(part.time, message.at, { hour: "2-digit", minute: "2-digit" });
  if (message.button?.kind === "copy_code" && message.code) {
    part.label.textContent = message.button.text;
    part.copy.hidden = false;
    part.copy.addEventListener("click", () => copyCode(message, part));
  }
  return node;
}

function smsNode(message) {
  const node = stamp("sms-template");
  const part = parts(node);
  node.dataset.message = message.id;
  const at = message.code ? message.body.indexOf(message.code) : -1;
  if (at < 0) {
    part.text.textContent = message.body;
  } else {
    // A phone underlines the code it found in a text message.
    part.text.append(message.body.slice(0, at), strong(message.code), message.body.slice(at + message.code.length));
  }
  drawTime(part.time, message.at, { hour: "2-digit", minute: "2-digit" });
  return node;
}

async function copyCode(message, part) {
  const copied = await copyText(message.code);
  part.label.textContent = copied ? "Copied" : "Press Ctrl+C to copy";
  part.icon.setAttribute("href", copied ? "#icon-done" : "#icon-copy");
  say(copied ? "Code copied" : "The code is selected: copy it with Control C");
  if (!copied) getSelection()?.selectAllChildren(part.text.querySelector("strong") ?? part.text);
  clearTimeout(part.copy.restore);
  part.copy.restore = setTimeout(() => {
    part.label.textContent = message.button.text;
    part.icon.setAttribute("href", "#icon-copy");
  }, COPIED_SHOWN_MS);
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard API (a page over plain HTTP from another machine) or no permission: the old way.
  }
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  field.setAttribute("aria-hidden", "true");
  document.body.append(field);
  field.select();
  let copied = false;
  try {
    copied = document.execCommand("copy");
  } catch {
    // Not supported: the caller selects the code instead.
  }
  field.remove();
  focused?.focus();
  return copied;
}

function unread(card) {
  return card.messages.filter((message) => message.channel === "whatsapp" && message.status === "arrived" && !message.read);
}

async function markRead(card) {
  for (const { id } of unread(card)) {
    // Once asked is enough: the stream says when it is so.
    if (card.reading.has(id)) continue;
    card.reading.add(id);
    const answer = await post("read", { message_id: id });
    if (!answer.ok) card.reading.delete(id);
  }
}

function announce(message, number) {
  const channel = message.channel === "whatsapp" ? "WhatsApp message" : "Text message";
  const words = message.channel === "whatsapp" ? message.body.replaceAll(/\*([^*\n]+)\*/g, "$1") : message.body;
  say(`${channel} on ${number} from ${message.sender}: ${words}`);
}

function say(words) {
  const line = document.createElement("p");
  line.textContent = words;
  page.announcer.append(line);
  while (page.announcer.childElementCount > ANNOUNCEMENTS_MAX) page.announcer.firstElementChild.remove();
}

// ---------------------------------------------------------------- the network's switches

function drawNetwork(card) {
  const { whatsapp, deliver, delay_ms: delayMs } = card.network;
  card.part["net-whatsapp"].checked = whatsapp;
  card.part["net-deliver"].value = deliver;
  // Somebody may be typing in it.
  if (document.activeElement !== card.part["net-delay"]) card.part["net-delay"].value = String(delayMs);
  drawNetworkHelp(card);
}

function drawNetworkHelp(card) {
  card.part["net-help"].textContent = DELIVERY_HELP[card.part["net-deliver"].value] ?? "";
}

async function changeNetwork(card) {
  const delay = Math.round(Number(card.part["net-delay"].value));
  const delayMs = Number.isFinite(delay) ? Math.min(Math.max(delay, 0), DELAY_MS_MAX) : 0;
  card.part["net-delay"].value = String(delayMs);
  drawNetworkHelp(card);
  const network = {
    whatsapp: card.part["net-whatsapp"].checked,
    delay_ms: delayMs,
    deliver: card.part["net-deliver"].value,
  };
  // While a change is on its way the stream may still speak of the state before it: the switches
  // wait for the last answer, or a second quick change would undo the first.
  card.networkCalls += 1;
  const turn = (card.networkTurn ?? Promise.resolve()).then(() => post("network", { number: card.number, network }));
  card.networkTurn = turn;
  const answer = await turn;
  card.networkCalls -= 1;
  if (answer.ok) card.network = network;
  if (card.networkCalls > 0) return;
  drawNetwork(card);
  drawMessages(card, card.messages);
  outcome(card.part["net-result"], answer.ok ? "" : "bad", answer.ok ? "" : answer.words);
}

// ---------------------------------------------------------------- begin, add, check

async function begin(number) {
  outcome(page["begin-result"], "busy", "Sending");
  const answer = await post("begin", { number });
  if (!answer.ok) return outcome(page["begin-result"], "bad", answer.words);
  const { status, body } = answer.data;
  if (status >= 400) return outcome(page["begin-result"], "bad", problemWords(body));
  noteVerification(plainNumber(number), body.id);
  outcome(page["begin-result"], "good", status === 201
    ? `Verification ${body.id} begun. Its code is on its way.`
    : `Verification ${body.id} was still pending: the same code is sent again.`);
}

async function addPhone() {
  const typed = plainNumber(page["begin-number"].value);
  const number = phones.has(typed) ? nextFreeNumber(typed) : typed;
  const answer = await post("phones", { number });
  outcome(page["begin-result"], answer.ok ? "good" : "bad", answer.ok ? `Phone ${number} added.` : answer.words);
}

// The default number is nearly always on the page already, and what one wants is simply another phone.
function nextFreeNumber(number) {
  const digits = number.slice(1);
  if (!/^[0-9]{7,15}$/.test(digits)) return number;
  let next = BigInt(digits);
  do next += 1n; while (phones.has(`+${next}`));
  return `+${next}`;
}

async function check(card) {
  const verificationId = verifications.get(card.number)?.at(-1);
  if (!verificationId) return outcome(card.part.result, "bad", "Send a code to this phone first.");
  const code = card.part.code.value.trim();
  if (!code) return outcome(card.part.result, "bad", "Type the code that the phone shows.");
  outcome(card.part.result, "busy", "Checking");
  const answer = await post("check", { verification_id: verificationId, code });
  if (!answer.ok) return outcome(card.part.result, "bad", answer.words);
  const { status, body } = answer.data;
  if (status >= 400) return outcome(card.part.result, "bad", problemWords(body));
  if (body.valid) {
    card.part.code.value = "";
    return outcome(card.part.result, "good", `Valid. The verification is ${body.status}.`);
  }
  const left = body.status === "pending" && Number.isInteger(body.checks_left) ? ` ${body.checks_left} ${body.checks_left === 1 ? "check" : "checks"} left.` : "";
  outcome(card.part.result, "bad", `Not valid: ${REASONS[body.reason] ?? body.reason ?? body.status}.${left}`);
  card.part.code.select();
}

// A check is about the newest verification of its phone: the one that was first heard of last.
// A late message of an older verification must not bring the older one back.
function noteVerification(number, id) {
  if (!id) return;
  const seen = verifications.get(number) ?? [];
  if (seen.includes(id)) return;
  seen.push(id);
  if (seen.length > VERIFICATIONS_PER_NUMBER_MAX) seen.shift();
  verifications.set(number, seen);
  if (verifications.size > NUMBERS_REMEMBERED_MAX) verifications.delete(verifications.keys().next().value);
  const card = phones.get(number);
  if (card) outcome(card.part.result, "", "");
}

// What the API takes out of a number before it reads it: spaces, hyphens, dots and brackets.
function plainNumber(typed) {
  return typed.replaceAll(/[ \-.()[\]]/g, "");
}

function outcome(node, tone, words) {
  node.dataset.tone = tone;
  node.textContent = words;
}

async function post(what, body) {
  let response;
  try {
    response = await fetch(`${BASE}/api/${what}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Tapcode-Console": "1" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_MAX_MS),
    });
  } catch {
    return { ok: false, words: "The server does not answer. Is it still running?" };
  }
  const data = await response.json().catch(() => null);
  if (response.ok && data !== null) return { ok: true, data };
  return { ok: false, words: problemWords(data, response.status) };
}

function problemWords(problem, status) {
  const title = problem?.title ?? `The server answered ${status ?? "with an error"}`;
  return problem?.detail ? `${title}: ${problem.detail}` : `${title}.`;
}

// ---------------------------------------------------------------- the timeline

const decisionsDrawn = new Set();

function drawDecision(decision) {
  // After a reconnect the stream may repeat what it said last.
  const key = JSON.stringify([decision.at, decision.number, decision.verification_id, decision.kind, decision.title, decision.why]);
  if (decisionsDrawn.has(key)) return;
  decisionsDrawn.add(key);
  noteVerification(decision.number, decision.verification_id);

  const kind = KINDS.includes(decision.kind) ? decision.kind : "other";
  const entry = stamp("entry-template");
  const part = parts(entry);
  entry.dataset.kind = kind;
  entry.dataset.number = decision.number;
  entry.dataset.hue = phones.get(decision.number)?.root.dataset.hue ?? "";
  entry.classList.toggle("is-new", firstSnapshotDrawn);
  part.icon.setAttribute("href", `#icon-${kind}`);
  part.title.textContent = decision.title;
  part.why.textContent = decision.why;
  part.why.hidden = !decision.why;
  part.number.textContent = decision.number;
  part.id.textContent = shortId(decision.verification_id);
  part.id.title = decision.verification_id ?? "";
  drawTime(part.time, decision.at, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  entry.hidden = hiddenByFilter(entry);
  entry.key = key;

  const { timeline, "timeline-scroll": scroll } = page;
  // Somebody who has scrolled down to read keeps their place.
  const reading = scroll.scrollTop > 4 ? scroll.scrollHeight - scroll.scrollTop : null;
  timeline.prepend(entry);
  while (timeline.childElementCount > TIMELINE_ENTRIES_MAX) {
    decisionsDrawn.delete(timeline.lastElementChild.key);
    timeline.lastElementChild.remove();
  }
  if (reading !== null) scroll.scrollTop = scroll.scrollHeight - reading;
  page["timeline-empty"].hidden = true;
}

function filterTimeline() {
  for (const entry of page.timeline.children) entry.hidden = hiddenByFilter(entry);
}

function hiddenByFilter(entry) {
  const wanted = page["timeline-filter"].value;
  return wanted !== "" && entry.dataset.number !== wanted;
}

// Ids of one minute begin alike: their ends tell them apart.
function shortId(id) {
  if (!id) return "";
  return id.length > 16 ? `${id.slice(0, 4)}…${id.slice(-6)}` : id;
}

// ---------------------------------------------------------------- drawing

function stamp(templateId) {
  return document.getElementById(templateId).content.firstElementChild.cloneNode(true);
}

function parts(root) {
  const found = {};
  for (const node of root.querySelectorAll("[data-part]")) found[node.dataset.part] = node;
  return found;
}

function strong(text) {
  const node = document.createElement("strong");
  node.textContent = text;
  return node;
}

function drawTime(node, at, shape) {
  const time = new Date(at);
  node.dateTime = at;
  node.textContent = Number.isNaN(time.valueOf()) ? "" : time.toLocaleTimeString([], { hourCycle: "h23", ...shape });
}

page["begin-form"].addEventListener("submit", (event) => {
  event.preventDefault();
  begin(page["begin-number"].value.trim());
});
page["add-phone"].addEventListener("click", addPhone);
page["timeline-filter"].addEventListener("change", filterTimeline);
follow();

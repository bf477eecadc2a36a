// An SMSC made of the package smpp of npm, which nobody here wrote. What it does stands in its first argument, as JSON; what
// happens is told on standard output, one JSON object a line.
//
//   tls       { key, cert }: files
//   password  the only one that is taken
//   receipt   tlv | text | lower | commas | bare | hex | ucs2 | none: how receipts are written
//   when      after | before | elsewhere: behind the answer, before it, or over the session that came last but one
//   status    how submissions are answered (0: taken)
//   throttle  how many submissions are answered "throttled" first
//   ids       decimal | hex: how answers name messages
const fs = require("fs");
const smpp = require("smpp");

const wanted = Object.assign(
  { password: "secret12", receipt: "tlv", when: "after", status: 0, throttle: 0, ids: "decimal" },
  JSON.parse(process.argv[2] || "{}"),
);
const say = (told) => process.stdout.write(JSON.stringify(told) + "\n");

let next = 1000000;
let throttled = 0;
const sessions = [];

const receiptOf = (id) => {
  const text = `id:${id} sub:001 dlvrd:001 submit date:2611271200 done date:261127120001 stat:DELIVRD err:000 text:stat:UNDELIV`;
  const plain = { esm_class: 4, source_addr: "31611398058", destination_addr: "3197010253000" };
  switch (wanted.receipt) {
    case "tlv":
      return { ...plain, short_message: "", receipted_message_id: String(id), message_state: 2 };
    case "text":
      return { ...plain, short_message: text };
    case "lower":
      return { ...plain, short_message: text.toLowerCase() };
    case "commas":
      return { ...plain, short_message: text.replace(/ (sub|dlvrd|submit|done|stat|err|text)/g, ",$1") };
    case "bare":
      return { ...plain, short_message: `${id},001,001,2611271200,2611271200,DELIVRD,000,stat` };
    case "hex":
      return { ...plain, short_message: text.replace(String(id), id.toString(16).toUpperCase().padStart(10, "0")) };
    case "ucs2":
      return { ...plain, data_coding: 8, short_message: Buffer.from(text, "utf16le").swap16() };
  }
};

const options = wanted.tls ? { key: fs.readFileSync(wanted.tls.key), cert: fs.readFileSync(wanted.tls.cert) } : {};
const server = smpp.createServer(options, (session) => {
  session.on("error", () => {});
  session.on("close", () => say({ closed: true }));
  // The bytes as they came, before anybody has understood them.
  const { socket } = session;
  const read = socket.read.bind(socket);
  let raw = [];
  socket.read = (size) => {
    const chunk = read(size);
    if (chunk) raw.push(chunk);
    return chunk;
  };
  session.on("pdu", (pdu) => {
    say({ pdu: Buffer.concat(raw).toString("hex"), command: pdu.command });
    raw = [];
  });
  session.on("bind_transceiver", (pdu) => {
    const taken = pdu.password === wanted.password;
    session.send(pdu.response({ command_status: taken ? 0 : smpp.ESME_RINVPASWD, system_id: "smsc" }));
    if (taken) sessions.push(session);
    say({ bound: taken, system_id: pdu.system_id, system_type: pdu.system_type });
  });
  session.on("enquire_link", (pdu) => session.send(pdu.response()));
  session.on("unbind", (pdu) => {
    session.send(pdu.response());
    session.close();
  });
  session.on("deliver_sm_resp", (pdu) => say({ confirmed: pdu.command_status }));
  session.on("submit_sm", (pdu) => {
    if (throttled < wanted.throttle) {
      throttled += 1;
      session.send(pdu.response({ command_status: throttled % 2 ? smpp.ESME_RTHROTTLED : smpp.ESME_RMSGQFUL }));
      return;
    }
    const id = next++;
    const name = wanted.ids === "hex" ? id.toString(16).toUpperCase() : String(id);
    const text = pdu.short_message.message;
    say({
      submitted: String(text),
      to: pdu.destination_addr,
      from: pdu.source_addr,
      data_coding: pdu.data_coding,
      header: pdu.short_message.udh ? pdu.short_message.udh.map((element) => element.toString("hex")) : null,
      payload: pdu.message_payload ? String(pdu.message_payload.message || pdu.message_payload) : null,
      segment: pdu.sar_segment_seqnum || null,
      receipt: pdu.registered_delivery,
    });
    const answer = () => session.send(pdu.response({ command_status: wanted.status, message_id: wanted.status ? "" : name }));
    const tell = () => {
      const over = wanted.when === "elsewhere" ? sessions.find((other) => other !== session) || session : session;
      if (wanted.receipt !== "none" && !wanted.status && pdu.registered_delivery) over.deliver_sm(receiptOf(id));
    };
    if (wanted.when === "before") {
      tell();
      answer();
    } else {
      answer();
      tell();
    }
  });
});
server.listen(Number(process.argv[3] || 0), "127.0.0.1", () => say({ listening: server.address().port }));

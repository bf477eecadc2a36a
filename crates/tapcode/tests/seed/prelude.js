// What does the page that the examples come from leave to its reader? Defined here, so that the examples run verbatim.
// The environment says where the server, Redis and Node's modules are; nothing here knows how the server works but
// through its API.

const crypto = require('node:crypto');
const { createRequire } = require('node:module');

const ours = createRequire(`${process.env.SEED_NODE_MODULES}/`);
const Redis = ours('ioredis');
const redis = new Redis(process.env.SEED_REDIS_PORT, '127.0.0.1', { maxRetriesPerRequest: 3 });
const phoneNumber = process.env.SEED_PHONE_NUMBER;

// "Send via WhatsApp" of the first example, as a function: what the fallback example calls.
async function sendWhatsAppOTP(to, code) {
  const response = await fetch(`${process.env.SEED_URL}/api/v1/whatsapp/messages`, {
    method: 'POST',
    headers: { 'Authorization': `Bearer ${process.env.SEED_KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({
      account_id: 1,
      to,
      type: 'template',
      template: {
        name: 'login_otp',
        language: { code: 'en' },
        components: [
          { type: 'body', parameters: [{ type: 'text', text: code }] },
          { type: 'button', sub_type: 'url', index: 0, parameters: [{ type: 'text', text: code }] },
        ],
      },
    }),
  });
  if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
  return response.json();
}

// The server holds the answer until the message is delivered, so one request takes the place of a poll every `interval`.
async function pollDeliveryStatus(id, { timeout, interval }) {
  if (!(interval > 0)) throw new Error('an interval is expected');
  const wait = process.env.SEED_TIMEOUT_MS ?? timeout;
  const url = `${process.env.SEED_URL}/api/v1/whatsapp/messages/${id}?wait=delivered&timeout_ms=${wait}`;
  const response = await fetch(url, { headers: { 'Authorization': `Bearer ${process.env.SEED_KEY}` } });
  const message = await response.json();
  if (response.status !== 200) throw new Error(`${response.status} ${JSON.stringify(message)}`);
  return message.status === 'delivered' || message.status === 'read';
}

async function main() {
//// the examples
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
}).finally(() => redis.quit());

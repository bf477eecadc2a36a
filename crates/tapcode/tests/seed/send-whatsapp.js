const code = crypto.randomInt(100000, 999999).toString();

// Store code with 5-minute expiry
await redis.setex(`otp:${phoneNumber}`, 300, code);

// Send via WhatsApp
const response = await fetch('https://cliqtel.com/api/v1/whatsapp/messages', {
  method: 'POST',
  headers: {
    'Authorization': 'Bearer YOUR_API_KEY',
    'Content-Type': 'application/json',
  },
  body: JSON.stringify({
    account_id: 1,                    // Your WhatsApp account ID
    to: '+31611398058',
    type: 'template',
    template: {
      name: 'login_otp',
      language: { code: 'en' },
      components: [{
        type: 'body',
        parameters: [{ type: 'text', text: code }]
      }, {
        type: 'button',
        sub_type: 'url',
        index: 0,
        parameters: [{ type: 'text', text: code }]
      }]
    }
  }),
});

const data = await response.json();
console.log(data.id, data.status); // message ID, "accepted"

async function sendOTP(phoneNumber, code) {
  // 1. Try WhatsApp first
  const waResponse = await sendWhatsAppOTP(phoneNumber, code);

  // 2. Wait for delivery confirmation (max 10 seconds)
  const delivered = await pollDeliveryStatus(waResponse.id, {
    timeout: 10000,
    interval: 2000,
  });

  if (delivered) {
    return { channel: 'whatsapp', messageId: waResponse.id };
  }

  // 3. Fall back to SMS
  const smsResponse = await fetch('https://cliqtel.com/api/v1/sms/messages', {
    method: 'POST',
    headers: {
      'Authorization': 'Bearer YOUR_API_KEY',
      'Content-Type': 'application/json',
    },
    body: JSON.stringify({
      from_number_id: 42,
      to: phoneNumber,
      body: `Your code is ${code}. Expires in 5 minutes.`,
    }),
  });

  return { channel: 'sms', messageId: (await smsResponse.json()).id };
}

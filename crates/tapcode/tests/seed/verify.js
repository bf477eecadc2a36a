async function verifyOTP(phoneNumber, userInput) {
  const stored = await redis.get(`otp:${phoneNumber}`);

  if (!stored) return { valid: false, error: 'Code expired' };

  if (stored !== userInput) {
    const attempts = await redis.incr(`otp_attempts:${phoneNumber}`);
    await redis.expire(`otp_attempts:${phoneNumber}`, 300);
    if (attempts >= 5) {
      await redis.del(`otp:${phoneNumber}`);
      return { valid: false, error: 'Too many attempts' };
    }
    return { valid: false, error: 'Invalid code' };
  }

  await redis.del(`otp:${phoneNumber}`);
  await redis.del(`otp_attempts:${phoneNumber}`);
  return { valid: true };
}

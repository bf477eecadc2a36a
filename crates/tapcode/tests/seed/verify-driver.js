// Drives verifyOTP: a wrong code, the right one, the right one again, and a number that was never sent anything.
const right = await redis.get(`otp:${phoneNumber}`);
const wrong = right === '000000' ? '000001' : '000000';
console.log(JSON.stringify({
  wrong: await verifyOTP(phoneNumber, wrong),
  right: await verifyOTP(phoneNumber, right),
  again: await verifyOTP(phoneNumber, right),
  unknown: await verifyOTP('+31612000099', right),
}));
await redis.setex(`otp:${phoneNumber}`, 300, right);
const guesses = [];
for (let guess = 0; guess < 5; guess++) guesses.push((await verifyOTP(phoneNumber, wrong)).error);
console.log(JSON.stringify({ guesses, afterwards: await verifyOTP(phoneNumber, right) }));

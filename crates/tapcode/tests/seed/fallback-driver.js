// Drives sendOTP with the code and number of the test.
console.log(JSON.stringify(await sendOTP(phoneNumber, process.env.SEED_CODE)));

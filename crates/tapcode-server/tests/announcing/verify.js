// Reads webhooks, one JSON object a line, as a caller's program would: with the package standardwebhooks of npm.
const { Webhook } = require("standardwebhooks");

let text = "";
process.stdin.on("data", (chunk) => (text += chunk));
process.stdin.on("end", () => {
  for (const line of text.split("\n").filter(Boolean)) {
    const told = JSON.parse(line);
    const body = Buffer.from(told.body, "base64").toString("utf8");
    const event = new Webhook(told.secret).verify(body, told.headers);
    console.log(JSON.stringify({ type: event.type, id: told.headers["webhook-id"] }));
  }
});

// A JWT login by an independent client: node jwt.mjs URL CLIENT_ID USERNAME KEY_FILE [AUDIENCE]
// The signature is Node's own. It prints one JSON object that the Python test judges.
import { createSign } from "node:crypto";
import { readFileSync } from "node:fs";
import jsforce from "jsforce";

const [url, clientId, username, keyFile, audience = "https://login.salesforce.com"] = process.argv.slice(2);
const part = (data) => Buffer.from(JSON.stringify(data)).toString("base64url");
const claims = { iss: clientId, sub: username, aud: audience, exp: Math.floor(Date.now() / 1000) + 120 };
const signed = `${part({ alg: "RS256" })}.${part(claims)}`;
const signature = createSign("RSA-SHA256").update(signed).sign(readFileSync(keyFile), "base64url");

const conn = new jsforce.Connection({ loginUrl: url, instanceUrl: url, version: "67.0" });
let seen;
try {
  await conn.authorize({
    grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
    assertion: `${signed}.${signature}`,
  });
  const identity = await conn.identity();
  seen = { user: identity.username, usage: conn.limitInfo?.apiUsage };
} catch (error) {
  seen = { refused: error.name, message: error.message };
}
console.log(JSON.stringify(seen));

// An independent client's journey through the embedded org: node journey.mjs URL CLIENT_ID CLIENT_SECRET
// It prints one JSON object that the Python test judges.
import jsforce from "jsforce";
import { QueryJobV2 } from "jsforce/lib/api/bulk2.js";

const [url, clientId, clientSecret] = process.argv.slice(2);

async function byClient() {
  const conn = new jsforce.Connection({ loginUrl: url, instanceUrl: url, version: "67.0" });
  await conn.authorize({ grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret });
  return conn;
}

async function byPassword() {
  const conn = new jsforce.Connection({ loginUrl: url, version: "59.0" });
  const user = await conn.login("integration@stagesync.example", "stagesync");
  return { conn, user };
}

const conn = await byClient();
const { conn: soap, user } = await byPassword();
const identity = await conn.identity();

const pages = [];
let page = await soap.query("SELECT Id, LastName FROM Lead ORDER BY LastName");
pages.push(page.records.length);
const names = page.records.map((record) => record.LastName);
while (!page.done) {
  page = await soap.queryMore(page.nextRecordsUrl);
  pages.push(page.records.length);
  names.push(...page.records.map((record) => record.LastName));
}
const fetched = await conn.query("SELECT Id FROM Lead", { autoFetch: true, maxFetch: 10000 });

const made = await conn.sobject("Lead").create({ LastName: "Müller", Company: "Jsforce & Co" });
const changed = await conn.sobject("Lead").update({ Id: made.id, Status: "Qualified", Budget_Confirmed__c: true });
const read = await conn.sobject("Lead").retrieve(made.id);

const task = { StageSync_Key__c: "js-1", Subject: "Stage check", WhoId: made.id, ActivityDate: "2026-10-15" };
const first = await conn.sobject("Task").upsert(task, "StageSync_Key__c");
const second = await conn.sobject("Task").upsert({ ...task, Subject: "Stage check 2" }, "StageSync_Key__c");
const found = await conn.sobject("Task").find({ StageSync_Key__c: "js-1" }, ["Id", "Subject", "Who.Name"]);

const several = await conn.sobject("Lead").create([{ LastName: "A", Company: "B" }, { LastName: "No company" }]);
const updated = await conn.sobject("Lead").update([
  { Id: several[0].id, Status: "Qualified" },
  { Id: "00Q000000000099AAA", Status: "Qualified" },
]);
const keyed = ["js-2", "js-3", "js-2"].map((key) => ({ StageSync_Key__c: key, Subject: key }));
const upserted = await conn.sobject("Task").upsert(keyed, "StageSync_Key__c");
const described = await conn.describe("Opportunity");
const everything = await conn.describeGlobal();

async function inBulk(soql) {
  const stream = await conn.bulk2.query(soql, { pollInterval: 20, pollTimeout: 20000 });
  return stream.toArray();
}

const soqlOfAll = "SELECT LastName, Company, Owner.IsActive FROM Lead WHERE Company = 'Acme'";
const rows = await inBulk(soqlOfAll);
const job = new QueryJobV2(conn, { bodyParams: { query: soqlOfAll, operation: "query" }, pollingOptions: conn.bulk2 });
await job.open();
const opened = job.getInfo().state;
await job.poll(20, 20000);
await job.delete();
let bulkRefused;
try {
  await inBulk("SELECT COUNT(Id) FROM Lead");
} catch (error) {
  bulkRefused = error.message;
}

let refused;
try {
  await conn.query("SELECT Nope FROM Lead");
} catch (error) {
  refused = error.errorCode;
}
let wrongPassword;
try {
  await new jsforce.Connection({ loginUrl: url, version: "59.0" }).login("integration@stagesync.example", "wrong");
} catch (error) {
  wrongPassword = error.errorCode ?? error.message;
}
await conn.sobject("Lead").destroy(made.id);
const left = await conn.sobject("Lead").count({ LastName: "Müller" });

console.log(JSON.stringify({
  userId: user.id,
  organizationId: user.organizationId,
  username: identity.username,
  pages,
  names,
  fetched: fetched.records.length,
  created: made.success,
  changed: changed.success,
  read,
  upserts: [first.created, second.created, first.id === second.id],
  found,
  several,
  updated,
  upserted,
  described,
  objects: everything.sobjects.map((item) => item.name),
  bulk: { rows, opened, info: job.getInfo(), refused: bulkRefused },
  refused,
  wrongPassword,
  left,
  usage: conn.limitInfo?.apiUsage,
}));

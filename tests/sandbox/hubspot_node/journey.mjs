// Drives the embedded HubSpot with HubSpot's own Node client: pages, search, update, task, batch read.
// Usage: node journey.mjs BASE_URL TOKEN. Prints what it saw as one JSON object; exits 1 on a surprise.
import assert from "node:assert/strict";
import { Client } from "@hubspot/api-client";

const [basePath, accessToken] = process.argv.slice(2);
const client = new Client({ accessToken, basePath });

async function allDealIds() {
  const ids = [];
  let after;
  do {
    const page = await client.crm.deals.basicApi.getPage(50, after, ["dealname", "dealstage"]);
    ids.push(...page.results.map((deal) => deal.id));
    after = page.paging?.next?.after;
  } while (after);
  return ids;
}

async function openDeals() {
  return client.crm.deals.searchApi.doSearch({
    filterGroups: [{ filters: [{ propertyName: "dealstage", operator: "EQ", value: "qualifiedtobuy" }] }],
    sorts: [{ propertyName: "hs_object_id", direction: "ASCENDING" }],
    properties: ["dealname", "dealstage"],
    limit: 200,
  });
}

const ids = await allDealIds();
assert.equal(new Set(ids).size, ids.length);

const found = await openDeals();
assert.ok(found.total > 0);

const dealId = found.results[0].id;
const updated = await client.crm.deals.basicApi.update(dealId, { properties: { dealstage: "appointmentscheduled" } });
assert.equal(updated.properties.dealstage, "appointmentscheduled");
assert.equal((await openDeals()).total, found.total - 1);

const task = await client.crm.objects.tasks.basicApi.create({
  properties: { hs_timestamp: "2026-11-25T09:00:00.000Z", hs_task_subject: "Write down the pain" },
  associations: [{ to: { id: dealId }, types: [{ associationCategory: "HUBSPOT_DEFINED", associationTypeId: 216 }] }],
});

const linked = await client.crm.associations.v4.batchApi.getPage("deals", "tasks", { inputs: [{ id: dealId }] });
assert.equal(String(linked.results[0].to[0].toObjectId), task.id);

const read = await client.crm.deals.batchApi.read({
  inputs: [{ id: dealId }, { id: "999999999" }],
  properties: ["dealstage", "num_notes", "not_a_property"],
  propertiesWithHistory: ["dealstage"],
});
assert.equal(read.numErrors, 1);
assert.equal("not_a_property" in read.results[0].properties, false);

const refusal = await client.crm.deals.basicApi
  .update(dealId, { properties: { dealstage: "139663275" } })
  .then(() => assert.fail("a stage of another pipeline was accepted"))
  .catch((error) => error);
assert.equal(refusal.code, 400);

console.log(
  JSON.stringify({
    deals: ids.length,
    taskId: task.id,
    dealId,
    notes: read.results[0].properties.num_notes,
    history: read.results[0].propertiesWithHistory.dealstage.map((entry) => entry.value),
    refused: refusal.body.category,
  }),
);

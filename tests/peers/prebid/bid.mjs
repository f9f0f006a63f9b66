// Visits of one person to a page whose ads Prebid.js sells, in Chromium. Reads {bid, sync, event, visits}: the addresses of
// a bidder, and what differs between the visits, each {units, ortb2, user, gdpr, gpp, events, until}. Answers what became of
// each: `asked`, the bid requests that Prebid made; `bids`, the bids as they came; `accepted` and `rejected`, what Prebid
// thinks of them; `synced`, its calls of the bidder's cookie sync with their status. A visit with `until` is repeated until
// that campaign bids. The page's exchange adds its own id of the person to a request.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const { bid, sync, visits } = JSON.parse(readFileSync(0, "utf8"));
const { outputFiles } = await build({
  entryPoints: ["adapter.mjs"], bundle: true, write: false, format: "iife", logLevel: "error",
});
const library = outputFiles[0].text;

function page(visit) {
  return `<!doctype html><meta charset="utf-8"><title>News</title><script>
const visit = ${JSON.stringify({ ...visit, sync }).replaceAll("<", "\\u003c")};
window.exchange = { bid: "/exchange", sync: visit.sync, user: visit.user };
if (visit.gdpr) {
  const told = { cmpId: 300, cmpVersion: 1, gdprApplies: true, eventStatus: "tcloaded", cmpStatus: "loaded",
    listenerId: 1, tcfPolicyVersion: 5, isServiceSpecific: true, ...visit.gdpr };
  window.__tcfapi = (_command, _version, heard) => heard(told, true);
}
if (visit.gpp) {
  const told = { signalStatus: "ready", cmpDisplayStatus: "hidden", ...visit.gpp };
  window.__gpp = (command, heard) => heard(command === "ping" ? told
    : { eventName: "listenerRegistered", listenerId: 1, data: true, pingData: told }, true);
}
window.pbjs = { que: [() => {
  window.rejected = [];
  pbjs.setConfig({
    cache: { useLocal: true },
    ortb2: visit.ortb2 ?? {},
    bidResponseFilter: {},
    consentManagement: {
      ...(visit.gdpr ? { gdpr: { cmpApi: "iab", timeout: 2000, defaultGdprScope: true, rules: [
        { purpose: "storage", enforcePurpose: true, enforceVendor: true },
        { purpose: "basicAds", enforcePurpose: true, enforceVendor: true },
      ] } } : {}),
      ...(visit.gpp ? { gpp: { cmpApi: "iab", timeout: 2000 } } : {}),
    },
    userSync: { filterSettings: { image: { bidders: "*", filter: "include" } }, syncDelay: 0 },
  });
  pbjs.onEvent("bidRejected", (each) => window.rejected.push([each.adUnitCode, each.rejectionReason]));
  pbjs.requestBids({ adUnits: visit.units, bidsBackHandler: () => {
    const bids = Object.values(pbjs.getBidResponses()).flatMap((each) => each.bids);
    window.done = { rejected: window.rejected, accepted: bids.map((each) => ({
      unit: each.adUnitCode, mediaType: each.mediaType, size: each.width + "x" + each.height, cpm: each.cpm,
      currency: each.currency, creative: each.creativeId, domains: each.meta.advertiserDomains,
      native: each.native?.ortb, vast: each.vastXml, ad: each.ad })) };
  } });
}] };
</script><script src="/prebid.js"></script>`;
}

let visit, seen;

// The exchange hands Prebid's request on, and takes its answer back as it is but for the notices, which are its own.
async function exchange(text) {
  const request = JSON.parse(text);
  if (visit.user) request.user = { ...request.user, id: visit.user };
  seen.asked.push(request);
  const answer = await fetch(bid, { method: "POST", body: JSON.stringify(request),
    headers: { "Content-Type": "application/json", "x-openrtb-version": "2.6" } });
  seen.status.push(answer.status);
  if (answer.status !== 200) return "";
  const body = await answer.json();
  for (const each of body.seatbid.flatMap((seat) => seat.bid)) {
    for (const notice of ["nurl", "burl", "lurl"]) delete each[notice];
    seen.bids.push(each);
  }
  return JSON.stringify(body);
}

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", async () => {
    if (request.url === "/prebid.js") return response.setHeader("Content-Type", "text/javascript").end(library);
    if (request.url !== "/exchange") return response.setHeader("Content-Type", "text/html").end(page(visit));
    return response.setHeader("Content-Type", "application/json").end(await exchange(Buffer.concat(parts).toString()));
  });
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const origin = `http://127.0.0.1:${server.address().port}/`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
});
const context = await browser.newContext();

async function visited() {
  seen = { asked: [], status: [], bids: [], synced: [], faults: [] };
  const tab = await context.newPage();
  const syncs = [];
  tab.on("pageerror", (error) => seen.faults.push(String(error)));
  tab.on("request", (request) => request.url().startsWith(sync) && syncs.push(request));
  await tab.goto(origin);
  await tab.waitForFunction(() => window.done, null, { timeout: 10_000 });
  Object.assign(seen, await tab.evaluate(() => window.done));
  await tab.waitForLoadState("networkidle"); // user syncs start after the bids are back
  for (const each of syncs) seen.synced.push([each.url(), (await each.response())?.status() ?? each.failure()?.errorText]);
  await tab.close();
  return seen;
}

const answers = [];
for (visit of visits) {
  for (const { url, body } of visit.events ?? []) await context.request.post(url, { data: body });
  let answer = await visited();
  for (let more = 20; more && visit.until && answer.bids.every((each) => each.cid !== visit.until); more -= 1) {
    answer = await visited();
  }
  answers.push(answer);
}
await browser.close();
server.close();
process.stdout.write(JSON.stringify(answers));

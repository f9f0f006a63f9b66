// Native markup as a publisher's page renders it: Prebid's universal creative in Chromium, without a network. Reads a
// list of markup texts, answers with what was seen of each: texts, pictures, calls to the tracker, where a click landed.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const creative = readFileSync("node_modules/prebid-universal-creative/dist/native-trk.js", "utf8");
const PIXEL = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");

const PAGE = `<!doctype html><meta charset="utf-8"><title>News</title><body>
<div id="ad"><a class="pb-click" href="hb_native_linkurl" target="_blank" rel="noopener">
<b id="title">hb_native_title</b><img id="image" alt="" src="hb_native_image"><img id="icon" alt="" src="hb_native_icon">
<i id="brand">hb_native_brand</i><span id="price">hb_native_price</span><u id="cta">hb_native_cta</u></a></div>
<script>${creative}</script>
<script>pbNativeTag.startTrackers({env: "mobile-app", uuid: "1", cacheHost: "cache.example", cachePath: "/c",
  pubUrl: "https://news.example/"});</script>`;

async function rendered(browser, markup) {
  const context = await browser.newContext();
  const seen = { trackers: [], pictures: [], faults: [], landed: [] };
  context.on("page", (page) => page.on("pageerror", (error) => seen.faults.push(String(error))));
  await context.route("**/*", (route) => {
    const url = new URL(route.request().url());
    if (url.host === "news.example") return route.fulfill({ body: PAGE, contentType: "text/html" });
    if (url.host === "cache.example") {
      const headers = { "Access-Control-Allow-Origin": "*" };
      return route.fulfill({ body: JSON.stringify({ adm: markup }), contentType: "application/json", headers });
    }
    if (url.host === "cdn.example") {
      seen.pictures.push(url.href);
      return route.fulfill({ body: PIXEL, contentType: "image/png" });
    }
    if (url.host === "track.example") {
      seen.trackers.push(url.href);
      if (url.pathname.startsWith("/t/click/")) {
        // By a page and not by a status: requests that follow a redirect are not shown to this function.
        const to = JSON.stringify(url.searchParams.get("to"));
        return route.fulfill({ body: `<script>location.replace(${to})</script>`, contentType: "text/html" });
      }
      return route.fulfill({ body: PIXEL, contentType: "image/png" });
    }
    seen.landed.push(url.href);
    return route.fulfill({ body: "<!doctype html><title>Shop</title>", contentType: "text/html" });
  });
  const page = await context.newPage();
  await page.goto("https://news.example/");
  await page.waitForFunction(() => !document.body.innerHTML.includes("hb_native_title"), null, { timeout: 10_000 });
  await page.waitForLoadState("networkidle");
  seen.text = Object.fromEntries(await page.$$eval("#ad b, #ad i, #ad span, #ad u", (found) =>
    found.map((each) => [each.id, each.textContent])));
  const [popup] = await Promise.all([context.waitForEvent("page"), page.click("#title")]);
  await popup.waitForURL((url) => url.host !== "track.example");
  await context.close();
  return seen;
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
});
const answers = [];
for (const markup of JSON.parse(readFileSync(0, "utf8"))) answers.push(await rendered(browser, markup));
await browser.close();
process.stdout.write(JSON.stringify(answers));

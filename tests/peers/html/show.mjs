// Banners as a publisher shows them: each in a sandboxed frame with a strict policy, in Chromium, without a network; and
// as html-validate reads them. Reads a list of {markup, width, height, click}: a click on it
// opens a "page", asks the "app" to, or leads "nowhere". Answers with what was seen of each.
import { readFileSync } from "node:fs";
import { HtmlValidate, StaticConfigLoader } from "html-validate";
import { chromium } from "playwright-core";

const AT_ONCE = 8;
const PIXEL = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
const POLICY = "default-src 'none'; img-src https: data:; style-src 'unsafe-inline'; " +
  "script-src 'unsafe-inline' https://adserver.example; frame-src https://cdn.example";
const PERMISSIONS = "allow-scripts allow-popups allow-popups-to-escape-sandbox";
// What an app gives to ads that ask for MRAID, and a SafeFrame to those that register with it.
const HOST = `window.opened = []; window.mraid = { open: (url) => window.opened.push(url), getState: () => "default" };
window.$sf = { ext: { register: (width, height) => { window.registered = [width, height]; } } };`;
const TAG = `(function () { var asked = new URL(document.currentScript.src).searchParams;
document.write('<a id="tag" target="_blank" style="display:block;height:250px">tag ' + asked.get("n").length + "</a>");
document.getElementById("tag").href = asked.get("click"); })();`;
const FRAMED = `<!doctype html><title>Framed</title><body style="margin:0"><a id="framed" target="_blank"
style="display:block;height:100vh">framed</a><script>document.getElementById("framed").href =
new URL(location).searchParams.get("click")</script>`;

const validator = new HtmlValidate(new StaticConfigLoader({
  extends: ["html-validate:standard"],
  // The tracker's scripts are inline on purpose, and a frame's src may have any characters that are escaped.
  rules: { "no-inline-style": "off", "require-csp-nonce": "off", "require-sri": "off", "long-title": "off",
    "tel-non-breaking": "off" },
}));

function documentOf(markup) {
  return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Ad</title><style>body{margin:0}</style>` +
    `</head><body>${markup}</body></html>`;
}

async function faultsOf(markup) {
  const report = await validator.validateString(documentOf(markup));
  return report.results.flatMap((file) => file.messages.map((each) => `${each.ruleId}: ${each.message}`));
}

async function shown(browser, { markup, width, height, click }) {
  const context = await browser.newContext();
  const seen = { trackers: [], faults: [], landed: [], invalid: await faultsOf(markup) };
  context.on("requestfailed", (request) => seen.faults.push(`failed: ${request.url()}`));
  context.on("console", (message) => message.type() === "error" && seen.faults.push(message.text()));
  context.on("weberror", (error) => seen.faults.push(String(error.error())));
  await context.route("**/*", (route) => {
    const url = new URL(route.request().url());
    const html = (body, headers) => route.fulfill({ body, contentType: "text/html", headers });
    switch (url.host) {
      case "news.example":
        return html(`<!doctype html><title>News</title><body style="margin:0"><iframe src="https://ad.example/"
          sandbox="${PERMISSIONS}" width="${width}" height="${height}" style="border:0"></iframe>`);
      case "ad.example":
        return html(documentOf(markup), { "Content-Security-Policy": POLICY });
      case "cdn.example":
        return url.pathname.endsWith(".html") ? html(FRAMED) : route.fulfill({ body: PIXEL, contentType: "image/png" });
      case "adserver.example":
        return route.fulfill({ body: TAG, contentType: "application/javascript" });
      case "track.example":
        seen.trackers.push(url.pathname.split("/")[2]);
        if (url.pathname.startsWith("/t/click/")) {
          // By a page and not by a status: requests that follow a redirect are not shown to this function.
          return html(`<script>location.replace(${JSON.stringify(url.searchParams.get("to"))})</script>`);
        }
        return route.fulfill({ body: PIXEL, contentType: "image/gif" });
      case "broken.example":
        return route.fulfill({ body: "no picture", contentType: "image/png" });
      default:
        seen.landed.push(url.href);
        return html("<!doctype html><title>Shop</title>");
    }
  });
  const page = await context.newPage();
  await page.addInitScript(HOST);
  await page.goto("https://news.example/");
  const frame = page.frames().find((each) => each.url() === "https://ad.example/");
  await frame.waitForLoadState("networkidle");
  seen.overflows = await frame.evaluate(([width, height]) => {
    const root = document.scrollingElement;
    return root.scrollWidth > width || root.scrollHeight > height;
  }, [width, height]);
  await page.waitForTimeout(1_300);
  if (click !== "nowhere") {
    const popup = click === "page" ? context.waitForEvent("page", { timeout: 20_000 }) : null;
    await page.mouse.click(Math.floor(width / 2), Math.floor(height / 2));
    if (popup === null) {
      await frame.waitForFunction(() => window.opened.length > 0);
    } else {
      const opened = await popup;
      await opened.waitForURL((url) => url.host !== "track.example" && url.host !== "");
      await opened.waitForLoadState("networkidle");
    }
  }
  seen.opened = await frame.evaluate(() => window.opened);
  seen.registered = await frame.evaluate(() => window.registered ?? null);
  await context.close();
  return seen;
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
});
const asked = JSON.parse(readFileSync(0, "utf8"));
const answers = [];
for (let at = 0; at < asked.length; at += AT_ONCE) {
  answers.push(...await Promise.all(asked.slice(at, at + AT_ONCE).map((each) => shown(browser, each))));
}
await browser.close();
process.stdout.write(JSON.stringify(answers));

// Reads a JSON array of VAST documents from standard input and writes what @dailymotion/vast-client made of each.
import { readFileSync } from "node:fs";
import { DOMParser } from "@xmldom/xmldom";
import client from "@dailymotion/vast-client";

const { VASTParser, VASTTracker } = client;
const documents = JSON.parse(readFileSync(0, "utf8"));
const found = [];
for (const text of documents) {
  const faults = [];
  const xml = new DOMParser({ onError: (level, message) => faults.push(`${level}: ${message}`) }).parseFromString(text, "text/xml");
  const answer = await new VASTParser().parseVAST(xml);
  const ads = answer.ads.map((ad) => {
    const linear = ad.creatives.find((creative) => creative.type === "linear");
    const companions = ad.creatives.filter((creative) => creative.type === "companion").flatMap((each) => each.variations);
    const called = [];
    const tracker = new VASTTracker(null, ad, linear);
    tracker.trackURLs = (templates, macros) => {
      for (const template of templates) called.push([template.url ?? template, macros ?? {}]);
    };
    tracker.trackImpression();
    tracker.setDuration(linear.duration);
    for (let step = 0; step <= 100; step += 1) tracker.setProgress((linear.duration * step) / 100);
    tracker.complete();
    let clicked = null;
    tracker.on("clickthrough", (url) => { clicked = url; });
    tracker.click();
    tracker.error({ ERRORCODE: "405" });
    return {
      title: ad.title,
      adType: ad.adType,
      advertiser: ad.advertiser,
      viewable: ad.viewableImpression,
      verifications: ad.adVerifications,
      duration: linear.duration,
      skipDelay: linear.skipDelay,
      media: linear.mediaFiles.map((file) => [file.fileURL, file.mimeType, file.width, file.height, file.bitrate, file.deliveryType]),
      companions: companions.map((each) => [
        each.width, each.height, each.staticResources, each.htmlResources, each.iframeResources,
        each.companionClickThroughURLTemplate,
      ]),
      called,
      clicked,
    };
  });
  found.push({ version: answer.version, faults, ads });
}
process.stdout.write(JSON.stringify(found));

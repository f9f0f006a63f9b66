// Prebid.js with its modules for consent, and an adapter that passes OpenRTB through: what Prebid makes of an ad unit
// goes to the page's exchange, and the exchange's bids go to Prebid, which judges them. `window.exchange` has the addresses.
import pbjs from "prebid.js";
import "prebid.js/modules/bidResponseFilter";
import "prebid.js/modules/consentManagementGpp";
import "prebid.js/modules/consentManagementTcf";
import "prebid.js/modules/dsaControl";
import "prebid.js/modules/gppControl_usnat";
import "prebid.js/modules/tcfControl";
import { ortbConverter } from "./node_modules/prebid.js/dist/src/libraries/ortbConverter/converter.js";
import { registerBidder } from "./node_modules/prebid.js/dist/src/src/adapters/bidderFactory.js";

const MEDIA_TYPES = { 1: "banner", 2: "video", 3: "audio", 4: "native" };

const converter = ortbConverter({
  context: { netRevenue: true, ttl: 60 },
  bidResponse(build, bid, context) {
    const made = build(bid, { ...context, mediaType: MEDIA_TYPES[bid.mtype] });
    return { ...made, meta: { ...made.meta, mediaType: made.mediaType, attr: bid.attr, cattax: bid.cattax } };
  },
});

registerBidder({
  code: "grosz",
  gvlid: 755,
  supportedMediaTypes: Object.values(MEDIA_TYPES),
  isBidRequestValid: () => true,
  buildRequests: (bidRequests, bidderRequest) => ({
    method: "POST",
    url: window.exchange.bid,
    data: converter.toORTB({ bidRequests, bidderRequest }),
  }),
  interpretResponse: (answer, request) =>
    answer.body ? converter.fromORTB({ request: request.data, response: answer.body }).bids : [],
  getUserSyncs: (_options, _answers, gdpr, _usp, gpp) => {
    const asked = new URLSearchParams({ uid: window.exchange.user });
    if (gdpr) {
      asked.set("gdpr", Number(gdpr.gdprApplies));
      asked.set("gdpr_consent", gdpr.consentString);
    }
    if (gpp) {
      asked.set("gpp", gpp.gppString);
      asked.set("gpp_sid", gpp.applicableSections.join(","));
    }
    return [{ type: "image", url: `${window.exchange.sync}?${asked}` }];
  },
});

pbjs.processQueue();

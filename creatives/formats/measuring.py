"""The script that tells whether a banner was seen, and whether its picture could be loaded.

Half of the banner's area on the screen for a second is a viewable impression (MRC, Viewable Ad Impression Measurement
Guidelines, display). `IntersectionObserver` sees it from inside a frame of another origin, too. What a page does not
permit is not measured, and nothing else changes.
"""

import json

from creatives.macros import Tracker, event_url

SHARE_IN_VIEW = 0.5
IN_VIEW_MS = 1_000

# `e` is the banner: the element before the script if it has a height, otherwise the element that contains the script.
_SCRIPT = """<script>(function(s,v,f){var e=s.previousElementSibling,t=0,o;if(!e||!e.offsetHeight)e=s.parentNode;\
function tell(u){(new Image).src=u}\
var i=e.querySelector&&e.querySelector("img[data-ad]");\
if(i){if(i.complete&&!i.naturalWidth)tell(f);else i.addEventListener("error",function(){tell(f)})}\
if(!window.IntersectionObserver)return;\
o=new IntersectionObserver(function(r){\
if(r[r.length-1].intersectionRatio>=SHARE){t=t||setTimeout(function(){t=0;if(!document.hidden){o.disconnect();tell(v)}},\
TIME)}else{clearTimeout(t);t=0}},{threshold:[SHARE]});o.observe(e)})(document.currentScript,VIEW,FAIL)</script>"""


def measuring_script(tracker: Tracker) -> str:
    """HTML of the script, to be put after the banner's own HTML."""
    script = _SCRIPT.replace("SHARE", str(SHARE_IN_VIEW)).replace("TIME", str(IN_VIEW_MS))
    view, fail = event_url(tracker, "view", "viewable"), event_url(tracker, "error", "900")
    return script.replace("VIEW", _text(view)).replace("FAIL", _text(fail))


def _text(value: str) -> str:
    """A JavaScript string that ends no script element (HTML, section 4.12.1.3)."""
    return json.dumps(value).replace("<", "\\u003c")

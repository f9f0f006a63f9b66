"""A real browser at the console, and what is looked at on each page."""

import shutil

from playwright.sync_api import Browser, Locator, Page, Playwright

# WCAG 2.2 AA, and the practices that axe's authors recommend besides.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def open_browser(playwright: Playwright) -> Browser:
    """The system's Chromium, headless. The caller's test needs the package `chromium`."""
    return playwright.chromium.launch(
        executable_path=shutil.which("chromium"),
        args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
    )


def faults_of(page: Page, axe: str) -> list[str]:
    """The faults that axe finds on the page, and whether anything is wider than the window."""
    result = page.evaluate(f"{axe}; axe.run(document, {{runOnly: {_RULES}}})")
    found = [f"{one['id']}: {one['nodes'][0]['target']}" for one in result["violations"]]
    wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return found + ([f"{wide} pixels wide in a window of {window}"] if wide > window else [])


# HTML_CodeSniffer is older than some of HTML: it does not know that `username` goes with an input of the type email
# (and has no text for its own finding about `autocomplete`), nor buttons that name their form, nor that Enter sends a
# form with a single input.
_SNIFF = """
  const words = HTMLCS.getTranslation;
  HTMLCS.getTranslation = (name) => words.call(HTMLCS, name) ?? name;
  await new Promise((done, failed) => HTMLCS.process("WCAG2AA", document, done, failed));
  HTMLCS.getTranslation = words;
  const isSent = (form) => {
    const shown = [...form.elements].filter((one) => one.type !== "hidden");
    return shown.some((one) => one.type === "submit") || (shown.length === 1 && shown[0].tagName === "INPUT");
  };
  const isOld = (one) => one.code.endsWith("H98") ? one.element.matches("input[type=email][autocomplete=username]")
    : one.code.endsWith("H32.2") && isSent(one.element);
  return HTMLCS.getMessages().filter((one) => one.type === HTMLCS.ERROR && !isOld(one))
    .map((one) => `${one.code}: ${one.element.outerHTML.slice(0, 120)}`);"""


def sniffing(sniffer: str) -> str:
    """A script that returns the sniffer's errors against WCAG 2 AA; its warnings are for a person to judge."""
    return f"async () => {{ if (!window.HTMLCS) {{ {sniffer}; }} {_SNIFF} }}"


def sniffed(page: Page, sniffer: str) -> list[str]:
    """The errors that HTML_CodeSniffer finds on the page."""
    return [str(each) for each in page.evaluate(sniffing(sniffer))]


class Hands:
    """Clicks and types as a person does, and counts it."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.clicks = 0
        self.typed = 0

    def click(self, what: Locator) -> None:
        self.clicks += 1
        what.click()

    def type(self, where: Locator, text: str) -> None:
        """One click into the field, one value."""
        self.clicks += 1
        self.typed += 1
        where.fill(text)

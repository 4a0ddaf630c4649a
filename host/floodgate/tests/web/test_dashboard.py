"""The dashboard, in a real browser, against a host of its own."""

import hashlib
import json
import os
import shutil
import subprocess
import urllib.request
from urllib.parse import urlsplit

import pytest
from conftest import BINARY, REPOSITORY, Floodgate
from playwright.sync_api import expect

COMPONENTS = {
    name: REPOSITORY / directory / f"{name}.wasm"
    for name, directory in {
        "mempool-risk": "plugins/dist",
        "uniform-risk": "plugins/dist",
        "misbehaving": "host/floodgate/tests/components",
    }.items()
}
PICTURES = REPOSITORY / "docs" / "dashboard"
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>{{7*7}}'
# Judged by an oracle that does what the body tells it; any text is an id.
FLOW = """
[admit]
path = "/{name}"
schema = "{name}.schema.json"
id = {{ field = "/id" }}

[[oracle]]
component = "{name}"

[decide]
threshold = 0.8

[retry]
attempts = {attempts}
backoff = {{ first = "{first}", max = "{first}" }}
"""

expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    host = Floodgate(tmp_path_factory.mktemp("dashboard"))
    # What fails is dead at once in one, and waits for ever in the other.
    for name, attempts, first in [("fragile", 2, "50ms"), ("patient", 5, "2h")]:
        flow = FLOW.format(name=name, attempts=attempts, first=first)
        (host.flows / f"{name}.toml").write_text(flow)
        (host.flows / f"{name}.schema.json").write_text('{"required": ["id"]}')
        drop(host, name, "misbehaving")
    host.start()
    yield host
    assert host.stop() == 0, host.log.read_text()


class View:
    """The page, and what must not happen in it."""

    def __init__(self, context, host):
        self.page = context.new_page()
        self.host = host
        self.errors = []
        self.strangers = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._heard)
        self.page.on("request", self._asked)
        self.page.goto(host.admin)

    def _heard(self, message):
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def _asked(self, request):
        if urlsplit(request.url).netloc != urlsplit(self.host.admin).netloc:
            self.strangers.append(request.url)

    def rows(self, panel, text=""):
        return self.page.locator(f"#{panel} tbody tr").filter(has_text=text)

    def oracle(self, name):
        return self.rows("oracles").filter(has=self.page.get_by_role("rowheader", name=name))

    def connected(self):
        expect(self.page.locator("#connection")).to_have_text("● connected")


@pytest.fixture
def view(browser, host):
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    view = View(context, host)
    view.connected()
    yield view
    context.close()
    assert (view.errors, view.strangers) == ([], [])


def drop(host, name, component):
    """Whole at once; the digest that is to be seen."""
    aside = host.oracles / ".dropped"
    shutil.copy(COMPONENTS[component], aside)
    aside.rename(host.oracles / f"{name}.wasm")
    return hashlib.sha256(COMPONENTS[component].read_bytes()).hexdigest()[:12]


def post(host, flow, **body):
    request = urllib.request.Request(
        f"{host.url}/{flow}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.status


def shortened(entry):
    return f"{entry[:10]}…{entry[-10:]}" if len(entry) > 24 else entry


def sampled(page):
    """The id of the sample in the form, once it is there."""
    body = page.get_by_label("Body, JSON")
    expect(body).not_to_have_value("")
    return json.loads(body.input_value())["tx_hash"]


def test_a_transaction_posted_in_the_page_appears_judged(view):
    page = view.page
    entry = sampled(page)
    page.get_by_role("button", name="Post", exact=True).click()
    expect(view.rows("post", shortened(entry))).to_contain_text("202 accepted")
    expect(page.locator("#post .said")).to_contain_text("HIGH, score")
    decision = view.rows("high", shortened(entry))
    expect(decision).to_contain_text("gas-price-spike")
    expect(view.rows("flows", "POST /transactions")).to_contain_text("ms")
    decision.get_by_role("button", name="why?").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(entry)
    expect(dialog).to_contain_text("HIGH")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)


def test_what_the_front_end_refuses_is_told(view):
    page = view.page
    sampled(page)
    page.get_by_label("Body, JSON").fill('{"tx_hash": "0x1"}')
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.locator("#post .said")).to_contain_text("✕ 422 refused")


def test_a_flow_that_wants_a_key_is_given_one(view, host):
    page = view.page
    page.locator("#post select").select_option("events")
    key = page.get_by_label("API key")
    expect(key).to_be_visible()
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.locator("#post .said")).to_contain_text("401 refused")
    key.fill(host.key)
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.locator("#post .said")).to_contain_text("decided")


def test_a_dropped_oracle_appears_a_broken_one_is_red_and_a_swap_is_taken_back(view, host):
    page, row = view.page, view.oracle("mempool-risk")
    first = hashlib.sha256(COMPONENTS["mempool-risk"].read_bytes()).hexdigest()[:12]
    expect(row.locator(".digest")).to_have_text(first)
    second = drop(host, "mempool-risk", "uniform-risk")
    expect(row.locator(".digest")).to_have_text(second)
    (host.oracles / "mempool-risk.wasm").write_text("no component")
    expect(row).to_contain_text("✕ swap refused")
    expect(row).to_have_class("refused")
    expect(row.locator(".digest")).to_have_text(second)
    drop(host, "mempool-risk", "uniform-risk")
    expect(row).to_contain_text("● in force")
    row.get_by_role("button", name="roll back").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"back from {second} to {first}")
    dialog.get_by_role("button", name="Roll back").click()
    expect(row.locator(".digest")).to_have_text(first)
    expect(row).to_contain_text(f"◀ rolled back from {second}")
    drop(host, "mempool-risk", "mempool-risk")
    expect(row).to_contain_text("● in force")


def test_a_dead_letter_is_tried_requeued_and_goes(view, host):
    page = view.page
    # An oracle that never succeeded is at fault itself.
    post(host, "fragile", id="well", do="high")
    expect(view.rows("high", "well")).to_have_count(1)
    post(host, "fragile", id="dead-one", do="error")
    letter = view.rows("dead", "dead-one")
    expect(letter).to_contain_text("✕ refused")
    letter.get_by_role("button", name="body").click()
    expect(page.get_by_role("dialog")).to_contain_text('"do": "error"')
    page.keyboard.press("Escape")
    letter.get_by_role("button", name="dry run").click()
    expect(page.get_by_role("dialog")).to_contain_text("✕ fails again: refused")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    digest = drop(host, "fragile", "uniform-risk")
    expect(view.oracle("fragile").locator(".digest")).to_have_text(digest)
    letter.get_by_role("button", name="dry run").click()
    expect(page.get_by_role("dialog")).to_contain_text("1 of 1 would be decided")
    page.get_by_role("dialog").get_by_role("button", name="Requeue").click()
    expect(letter).to_have_count(0)
    expect(page.locator("#dead .said")).to_have_text("1 requeued.")
    drop(host, "fragile", "misbehaving")
    expect(view.oracle("fragile").locator(".digest")).not_to_have_text(digest)


def test_dead_letters_are_filtered_and_purged_after_a_question(view, host):
    page, panel = view.page, view.page.locator("#dead")
    post(host, "fragile", id="well-2", do="high")
    expect(view.rows("high", "well-2")).to_have_count(1)
    post(host, "fragile", id="dead-two", do="error")
    post(host, "fragile", id="dead-three", do="trap")
    expect(view.rows("dead", "dead-")).to_have_count(2)
    purge = panel.get_by_role("button", name="Purge")
    expect(purge).to_be_disabled()
    panel.get_by_label("Fault").select_option("trap")
    expect(view.rows("dead")).to_have_count(1)
    purge.click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(panel.locator(".said")).to_have_text("Nothing was purged.")
    purge.click()
    page.get_by_role("dialog").get_by_role("button", name="Purge").click()
    expect(view.rows("dead")).to_have_count(0)
    panel.get_by_role("button", name="Clear").click()
    expect(view.rows("dead", "dead-two")).to_have_count(1)
    panel.get_by_label("Id").fill("dead-two")
    panel.get_by_role("button", name="Purge").click()
    page.get_by_role("dialog").get_by_role("button", name="Purge").click()
    expect(panel.locator(".said")).to_have_text("1 purged.")


def test_a_pending_entry_tells_its_next_attempt_and_why(view, host):
    post(host, "patient", id="well", do="high")
    expect(view.rows("high", "patient")).to_have_count(1)
    post(host, "patient", id="waits", do="error")
    entry = view.rows("pending", "waits")
    expect(entry).to_contain_text("in 1 hour")
    expect(entry).to_contain_text("refused")
    why = entry.get_by_role("button", name="why?")
    # The row stays itself while snapshots come: the keyboard stays where it is.
    why.focus()
    after_some_snapshots(view)
    expect(why).to_be_focused()
    view.page.keyboard.press("Enter")
    expect(view.page.get_by_role("dialog")).to_contain_text("it waits for its next attempt")
    view.page.keyboard.press("Escape")
    expect(why).to_be_focused()


def after_some_snapshots(view):
    line = view.page.locator("#totals path").first
    for _ in range(3):
        expect(line).not_to_have_attribute("d", line.get_attribute("d"))


def tab_to(page, target):
    for _ in range(20):
        page.keyboard.press("Tab")
        if target.evaluate("node => node === document.activeElement"):
            return
    raise AssertionError("twenty steps do not lead there")


def test_an_entry_is_posted_with_the_keyboard_alone(view):
    page = view.page
    entry = sampled(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    tab_to(page, page.get_by_role("link", name="Post"))
    page.keyboard.press("Enter")
    button = page.get_by_role("button", name="Post", exact=True)
    tab_to(page, button)
    assert button.evaluate("node => getComputedStyle(node).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(view.rows("high", shortened(entry))).to_have_count(1)


def test_what_strangers_wrote_is_shown_as_text(view, host):
    page = view.page
    post(host, "fragile", id="well-3", do="high")
    expect(view.rows("high", "well-3")).to_have_count(1)
    for flow in ["patient", "fragile"]:
        post(host, flow, id=f"{HOSTILE} in {flow}", do="error")
    for panel, flow in [("pending", "patient"), ("dead", "fragile")]:
        entry = view.rows(panel, shortened(f"{HOSTILE} in {flow}"))
        entry.get_by_role("button", name="why?").click()
        expect(page.get_by_role("dialog")).to_contain_text(HOSTILE)
        page.keyboard.press("Escape")
    page.locator("#post select").select_option("fragile")
    page.get_by_label("Body, JSON").fill(json.dumps({"id": HOSTILE, "do": "high"}))
    page.get_by_role("button", name="Post", exact=True).click()
    expect(view.rows("high", shortened(HOSTILE))).to_have_count(1)
    assert page.title() == "Floodgate"
    assert page.locator("img, body script").count() == 0


@pytest.mark.parametrize("width", [320, 375, 768])
def test_nothing_is_wider_than_the_screen(view, host, width):
    post(host, "patient", id="w" * 250, do="error")
    post(host, "fragile", id="v" * 250, do="error")
    view.page.set_viewport_size({"width": width, "height": 700})
    expect(view.rows("pending", "w" * 10)).to_have_count(1)
    expect(view.rows("dead", "v" * 10).first).to_be_visible()
    view.rows("dead", "v" * 10).get_by_role("button", name="why?").click()
    expect(view.page.get_by_role("dialog")).to_contain_text("dead letter")
    inner, whole = view.page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
    assert whole <= inner
    view.page.keyboard.press("Escape")


def test_a_token_is_asked_for_and_sent_with_every_call(browser, tmp_path):
    token = "the-token-of-these-tests"
    host = Floodgate(tmp_path)
    host.environment["FLOODGATE_ADMIN_TOKEN"] = token
    host.start()
    context = browser.new_context()
    view = View(context, host)
    page = view.page
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Token").fill("another-one-altogether")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("not the one")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator("#connection")).to_contain_text("no access")
    page.get_by_role("button", name="Enter the admin token").click()
    dialog.get_by_label("Token").fill(token)
    dialog.get_by_role("button", name="Use it").click()
    view.connected()
    entry = sampled(page)
    page.get_by_role("button", name="Post", exact=True).click()
    expect(view.rows("high", shortened(entry))).to_have_count(1)
    page.reload()
    view.connected()
    assert all("401" in error for error in view.errors), view.errors
    context.close()
    assert host.stop() == 0


def test_a_host_that_is_restarted_under_the_page_is_shown_again(view, host):
    page = view.page
    entry = sampled(page)
    page.get_by_role("button", name="Post", exact=True).click()
    expect(view.rows("high", shortened(entry))).to_have_count(1)
    assert host.stop() == 0
    expect(page.locator("#connection")).to_contain_text("not connected since")
    host.start()
    view.connected()
    expect(view.rows("high", shortened(entry))).to_have_count(1)
    before = page.get_by_label("Body, JSON").input_value()
    page.get_by_role("button", name="New sample").click()
    expect(page.get_by_label("Body, JSON")).not_to_have_value(before)
    another = sampled(page)
    page.get_by_role("button", name="Post", exact=True).click()
    expect(view.rows("high", shortened(another))).to_have_count(1)
    # The browser's own word for a host that is away.
    assert all("ERR_" in error for error in view.errors), view.errors
    view.errors.clear()


@pytest.mark.skipif(not os.environ.get("FLOODGATE_PICTURES"), reason="only when asked for")
def test_pictures(browser, tmp_path):
    """Writes docs/dashboard/*.png: set FLOODGATE_PICTURES=yes."""
    host = Floodgate(tmp_path)
    (host.flows / "fragile.toml").write_text(FLOW.format(name="fragile", attempts=2, first="2s"))
    (host.flows / "fragile.schema.json").write_text('{"required": ["id"]}')
    drop(host, "fragile", "misbehaving")
    host.start()
    load = [BINARY, "load", "--url", f"{host.url}/transactions"]
    load += ["--requests", "100000", "--concurrency", "4"]
    loading = subprocess.Popen(load, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        post(host, "fragile", id="order-7", do="high")
        for number, order in enumerate(["error", "trap"]):
            post(host, "fragile", id=f"order-{number}", do=order)
        PICTURES.mkdir(exist_ok=True)
        sizes = {"light": (1280, 1000), "dark": (1280, 1000), "phone": (390, 844)}
        for name, (width, height) in sizes.items():
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if name == "dark" else "light",
            )
            view = View(context, host)
            view.connected()
            expect(view.rows("dead", "order-")).to_have_count(2)
            if name == "light":
                (host.oracles / "value-rule.wasm").write_text("no component")
                expect(view.oracle("value-rule")).to_contain_text("swap refused")
            for _ in range(4):
                after_some_snapshots(view)
            view.page.screenshot(path=PICTURES / f"{name}.png")
            context.close()
    finally:
        loading.kill()
        loading.wait()
        host.stop()

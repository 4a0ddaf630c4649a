"""A Floodgate of the tests' own, and a browser to look at it with."""

import json
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

REPOSITORY = Path(__file__).resolve().parents[4]
BINARY = REPOSITORY / "target" / "debug" / "floodgate"
# Where nobody listens: what the flow posting delivers ends there.
NOWHERE = "http://127.0.0.1:9"
START_TIMEOUT = 60
STOP_TIMEOUT = 30


class Floodgate:
    """`floodgate dev` on copies of the flow files and oracles.

    Its data outlives a restart, and so do its addresses.
    """

    def __init__(self, directory: Path):
        self.flows = directory / "flows"
        self.oracles = directory / "oracles"
        self.data = directory / "data"
        self.log = directory / "log"
        shutil.copytree(REPOSITORY / "flows", self.flows)
        shutil.copytree(REPOSITORY / "plugins" / "dist", self.oracles)
        posting = self.flows / "posting.toml"
        posting.write_text(posting.read_text().replace("http://localhost:8080", NOWHERE))
        self.url = "http://127.0.0.1:0"
        self.admin = "http://127.0.0.1:0"
        self.environment = {}
        self.key = None
        """An API key that is good for every flow."""
        self.process = None

    def start(self):
        command = [
            # It ends with the tests, however they end.
            *["setpriv", "--pdeathsig", "KILL", "--", str(BINARY), "dev"],
            *["--listen", self.url.removeprefix("http://")],
            *["--admin", self.admin.removeprefix("http://")],
            *["--flows", str(self.flows), "--oracles", str(self.oracles)],
            *["--data-dir", str(self.data), "--notice", "0s"],
        ]
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=kept | self.environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        told = []
        threading.Thread(target=collect, args=(self.process.stdout, told), daemon=True).start()
        self.url = self._told(told, "listening on ")
        self.admin = self._told(told, "admin on ")
        self.key = self._told(told, "key of events: ")
        self._until_the_archive_answers()

    def _until_the_archive_answers(self):
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            with urllib.request.urlopen(f"{self.admin}/healthz", timeout=10) as health:
                if json.load(health)["archive"] == "ok":
                    return
            time.sleep(0.05)
        raise AssertionError(f"no floodgate-archive in {ARCHIVE}?\n{self.log.read_text()}")

    def _told(self, told, prefix):
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            for line in list(told):
                if line.startswith(prefix):
                    return line.removeprefix(prefix).strip()
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"it did not say {prefix!r}: {told}\n{self.log.read_text()}")

    def stop(self):
        """Its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def collect(lines, into):
    for line in lines:
        into.append(line)


@pytest.fixture(scope="session")
def floodgate(tmp_path_factory):
    """All five flows, for the whole session."""
    floodgate = Floodgate(tmp_path_factory.mktemp("floodgate"))
    floodgate.start()
    yield floodgate
    assert floodgate.stop() == 0, floodgate.log.read_text()


@pytest.fixture(scope="session")
def browser():
    """Headless, and Debian's: none is downloaded."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            # Containers have no user namespaces for it, and little shared memory.
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """Of a browser context of its own; what goes wrong in it fails the test."""
    context = browser.new_context()
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors, errors

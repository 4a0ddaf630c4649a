"""What the front end says of itself, against what it does."""

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from openapi_spec_validator import validate

HERE = Path(__file__).parent
DEADLINE = 30


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def test_the_document_is_openapi_3_1_and_speaks_of_every_flow(floodgate):
    document = get(f"{floodgate.url}/openapi.json")
    validate(document)
    assert document["openapi"] == "3.1.0"
    flows = get(f"{floodgate.admin}/flows")
    assert len(flows) == 5
    for method, path in (path.split() for flow in flows for path in flow["paths"]):
        assert method.lower() in document["paths"][path]


def test_the_server_does_what_the_document_says(floodgate, tmp_path):
    """All of Schemathesis' checks: statuses, media types, headers and bodies
    as described, wrong requests refused and right ones taken, keys asked for."""
    command = [
        *[Path(sys.executable).parent / "schemathesis"],
        *["--config-file", HERE / "schemathesis.toml", "--no-color"],
        *["run", f"{floodgate.url}/openapi.json"],
        *["--header", f"X-API-Key: {floodgate.key}"],
        *["--checks", "all", "--max-examples", "40", "--seed", "7"],
        *["--request-timeout", "10"],
    ]
    # It leaves notes where it runs.
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_changed_flow_file_changes_the_document(floodgate):
    file = floodgate.flows / "tasks.toml"
    before = file.read_text()
    try:
        file.write_text(before.replace('path = "/tasks"', 'path = "/errands"'))
        until_paths(floodgate, lambda paths: "/errands" in paths and "/tasks" not in paths)
    finally:
        file.write_text(before)
    until_paths(floodgate, lambda paths: "/tasks" in paths and "/errands" not in paths)


def until_paths(floodgate, are_right):
    deadline = time.monotonic() + DEADLINE
    while not are_right(paths := get(f"{floodgate.url}/openapi.json")["paths"]):
        assert time.monotonic() < deadline, paths.keys()
        time.sleep(0.1)


def test_the_calls_can_be_tried_in_a_browser_that_asks_nobody_else(floodgate, page):
    asked, told = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: told.append(message.text))
    page.goto(f"{floodgate.url}/docs")
    operation = page.locator("#operations-transactions-transactions")
    operation.locator(".opblock-summary-control").click()
    body = operation.locator("textarea.body-param__text")
    example = json.loads(body.input_value())
    body.fill(json.dumps(example | {"tx_hash": f"0x{'0d0c5' * 12}0000"}))
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table")
    answer.locator(".response-col_status", has_text="202").wait_for()
    assert '"status": "accepted"' in answer.inner_text()
    elsewhere = [url for url in asked if not url.startswith((floodgate.url, "data:"))]
    assert not elsewhere
    # Such as what the page's own policy refused it.
    assert not told

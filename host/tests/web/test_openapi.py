"""What the front end says of itself, against what it does."""

import json
import urllib.request


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def test_it_runs_and_is_healthy(floodgate):
    assert get(f"{floodgate.url}/healthz")["status"] == "ok"
    names = [flow["name"] for flow in get(f"{floodgate.admin}/flows")]
    assert names == ["credit", "events", "posting", "tasks", "transactions"]

"""Scores by the amount; `do` of a body asks for something else, for the tests."""

import json
import random

from componentize_py_types import Err, Ok
from wit_world import WitWorld as World
from wit_world.imports import log, settings
from wit_world.imports.types import Verdict


class WitWorld(World):
    def judge(self, batch):
        limit = float(settings.get("limit") or 100)
        try:
            return [judge_one(entry, limit) for entry in batch]
        except Exception as error:
            # Without files there is no traceback: it would look for the source.
            log.write("panic", f"{type(error).__name__}: {error}")
            raise


def judge_one(entry, limit):
    body = json.loads(entry.body)
    match body.get("do"):
        case "raise":
            raise ValueError("broken by \x1b[31m" + entry.id)
        case "refuse":
            return Err("refused " + entry.id)
        case "random":
            return Ok(Verdict(random.random(), [], None, []))
    amount = body.get("amount", 0)
    if amount > limit:
        return Ok(Verdict(0.9, ["large-amount"], str(amount), []))
    return Ok(Verdict(0.1, [], None, []))

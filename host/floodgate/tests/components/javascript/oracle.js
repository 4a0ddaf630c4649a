// Scores by the amount; `do` of a body asks for something else, for the tests.
import { get } from "floodgate:oracle/settings@0.1.0";

export function judge(batch) {
  const limit = Number(get("limit") ?? 100);
  return batch.map((entry) => judgeOne(entry, limit));
}

function judgeOne(entry, limit) {
  const body = JSON.parse(entry.body);
  switch (body.do) {
    case "raise":
      throw new Error("broken by \x1b[31m" + entry.id);
    case "refuse":
      return { tag: "err", val: "refused " + entry.id };
    case "random":
      return {
        tag: "ok",
        val: { score: Math.random(), reasons: [], output: undefined, attributes: [] },
      };
  }
  const amount = body.amount ?? 0;
  const large = amount > limit;
  return {
    tag: "ok",
    val: {
      score: large ? 0.9 : 0.1,
      reasons: large ? ["large-amount"] : [],
      output: large ? String(amount) : undefined,
      attributes: [],
    },
  };
}

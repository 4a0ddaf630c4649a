// A line of the last minute. It is hidden from screen readers: its number stands beside it.

import { svg } from "./dom.js";

const POINTS = 60;
const HEIGHT = 20;

export class Spark {
  constructor() {
    this.values = [];
    this.path = svg("path", { d: "" });
    const viewBox = `0 0 ${POINTS - 1} ${HEIGHT}`;
    this.node = svg(
      "svg",
      { class: "spark", viewBox, preserveAspectRatio: "none", "aria-hidden": "true" },
      this.path,
    );
  }

  push(value) {
    this.values.push(value ?? 0);
    if (this.values.length > POINTS) this.values.shift();
    const top = Math.max(1, ...this.values);
    const first = POINTS - this.values.length;
    const points = this.values.map((value, at) => {
      const y = HEIGHT - 1 - (value / top) * (HEIGHT - 2);
      return `${first + at} ${y.toFixed(1)}`;
    });
    this.path.setAttribute("d", `M${points.join("L")}`);
  }
}

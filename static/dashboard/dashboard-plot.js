// Draws one plot of the dashboard into an <svg>: an area, or a line, and perhaps a limit over it.
(() => {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";
  const LEFT = 44; // pixels for the numbers of the axis
  const BOTTOM = 18;
  const TOP = 8;

  const element = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  /** Returns a round number at or above the greatest value, with a whole number at half of it. */
  const roundTop = (greatest) => {
    if (greatest <= 2) return 2;
    const power = 10 ** Math.floor(Math.log10(greatest));
    return [1, 2, 4, 10].map((step) => step * power).find((top) => top >= greatest && top % 2 === 0);
  };

  /** Returns the path through values; a null is a gap. closed: down to the axis at the ends of each piece. */
  const path = (values, x, y, closed) => {
    let text = "";
    let begun = null;
    const end = (at) => {
      if (closed && begun !== null) text += `L${x(at)} ${y(0)}L${x(begun)} ${y(0)}Z`;
      begun = null;
    };
    values.forEach((value, at) => {
      if (value === null) return end(at - 1);
      text += `${begun === null ? "M" : "L"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      if (begun === null) begun = at;
    });
    end(values.length - 1);
    return text;
  };

  const ago = (seconds) => (seconds >= 3600 ? `${seconds / 3600} h` : `${seconds / 60} min`);

  /**
   * Draws. options: {values, limit, minutes, step, label, isArea, number}. values end now and may be fewer than fit.
   * number(n): how a value is worded.
   */
  window.drawPlot = (svg, options) => {
    const { values, limit, minutes, step, label, isArea, number } = options;
    const width = Math.max(240, svg.clientWidth);
    const height = Math.max(100, svg.clientHeight);
    const count = (minutes * 60) / step;
    const known = [...values, ...(limit || [])].filter((value) => value !== null);
    const top = roundTop(Math.max(0, ...known) * 1.05);
    const x = (at) => LEFT + ((width - LEFT) * (count - values.length + at + 0.5)) / count;
    const y = (value) => TOP + (height - TOP - BOTTOM) * (1 - value / top);
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      parts.push(element("line", { class: "grid", x1: LEFT, x2: width, y1: y(share * top), y2: y(share * top) }));
      parts.push(element("text", { x: LEFT - 6, y: y(share * top) + 4, "text-anchor": "end" }, number(share * top)));
    }
    for (const share of [0, 0.5]) {
      const at = LEFT + (width - LEFT) * share;
      const text = `${ago(minutes * 60 * (1 - share))} ago`;
      parts.push(element("text", { x: at, y: height - 3, "text-anchor": share ? "middle" : "start" }, text));
    }
    parts.push(element("text", { x: width, y: height - 3, "text-anchor": "end" }, "now"));
    if (isArea) parts.push(element("path", { class: "area", d: path(values, x, y, true) }));
    parts.push(element("path", { class: "curve", d: path(values, x, y, false) }));
    if (limit) parts.push(element("path", { class: "limit", d: path(limit, x, y, false) }));
    svg.replaceChildren(...parts);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const last = values.filter((value) => value !== null).pop();
    const most = Math.max(...values.filter((value) => value !== null), 0);
    svg.setAttribute(
      "aria-label",
      last === undefined ? `${label}: nothing recorded yet` : `${label}: ${number(last)} now, at most ${number(most)}`,
    );
  };
})();

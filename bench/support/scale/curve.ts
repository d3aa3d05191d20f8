/** Curves as a picture: small panels with a logarithm on both axes, readable on a light and on a dark page. */

/** One curve. `tone` is the number of its colour, from 0. */
export interface Curve {
  readonly label: string;
  readonly tone: number;
  readonly isDashed?: boolean;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** One panel. */
export interface Panel {
  readonly title: string;
  readonly xLabel: string;
  readonly curves: readonly Curve[];
}

const panel = { width: 470, height: 300 };
/** Of the plot inside its panel: what is left for labels. */
const margin = { left: 52, right: 24, top: 38, bottom: 84 };
const columns = 2;
const headHeight = 58;

/** SOURCE: https://www.w3.org/TR/WCAG22/#non-text-contrast: each at least 3:1 on its page. Of hues that people with any colour vision tell apart. */
const style = `
  svg { --page: #ffffff; --ink: #1b1f24; --quiet: #57606a; --grid: #d8dee4; --t0: #0969da; --t1: #bc4c00; --t2: #1a7f37; --t3: #8250df; }
  @media (prefers-color-scheme: dark) {
    svg { --page: #0d1117; --ink: #e6edf3; --quiet: #9198a1; --grid: #30363d; --t0: #58a6ff; --t1: #f0883e; --t2: #3fb950; --t3: #bc8cff; }
  }
  .page { fill: var(--page); } text { fill: var(--ink); font-size: 11px; } .quiet { fill: var(--quiet); }
  .head { font-size: 16px; font-weight: 600; } .title { font-size: 13px; font-weight: 600; }
  .grid { stroke: var(--grid); } .curve { fill: none; stroke-width: 2; } .dashed { stroke-dasharray: 5 4; }
  ${[0, 1, 2, 3].map((tone) => `.s${String(tone)} { stroke: var(--t${String(tone)}); } .f${String(tone)} { fill: var(--t${String(tone)}); }`).join(' ')}
`;

/** The picture, as the text of an SVG. */
export function drawCurves(title: string, subtitle: string, panels: readonly Panel[]): string {
  const width = panel.width * columns;
  const height = headHeight + panel.height * Math.ceil(panels.length / columns);
  const drawn = panels.map((each, index) => {
    const [x, y] = [(index % columns) * panel.width, headHeight + Math.floor(index / columns) * panel.height];
    return `<g transform="translate(${String(x)} ${String(y)})">\n${drawPanel(each)}\n</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${String(width)} ${String(height)}" font-family="system-ui, sans-serif" role="img" aria-label="${escaped(title)}">`,
    `<style>${style}</style>`,
    `<rect class="page" width="${String(width)}" height="${String(height)}"/>`,
    `<text class="head" x="20" y="28">${escaped(title)}</text>`,
    `<text class="quiet" x="20" y="46">${escaped(subtitle)}</text>`,
    ...drawn,
    '</svg>',
    '',
  ].join('\n');
}

function drawPanel({ title, xLabel, curves }: Panel): string {
  const points = curves.flatMap((each) => each.points);
  const across = decadesOf(points.map(([x]) => x));
  const up = decadesOf(points.map(([, y]) => y));
  const x = scaleOf(across, margin.left, panel.width - margin.right);
  const y = scaleOf(up, panel.height - margin.bottom, margin.top);
  const [left, right, top, bottom] = [x(across.least), x(across.most), y(up.most), y(up.least)].map(fixed);
  const axisY = String(panel.height - margin.bottom + 16);
  return [
    `<text class="title" x="${String(margin.left)}" y="22">${escaped(title)}</text>`,
    ...decadesIn(up).flatMap((each) => [
      `<line class="grid" x1="${left ?? ''}" x2="${right ?? ''}" y1="${fixed(y(each))}" y2="${fixed(y(each))}"/>`,
      `<text class="quiet" x="${String(margin.left - 6)}" y="${fixed(y(each) + 4)}" text-anchor="end">${inWords(each)}</text>`,
    ]),
    ...decadesIn(across).flatMap((each) => [
      `<line class="grid" x1="${fixed(x(each))}" x2="${fixed(x(each))}" y1="${top ?? ''}" y2="${bottom ?? ''}"/>`,
      `<text class="quiet" x="${fixed(x(each))}" y="${axisY}" text-anchor="middle">${inWords(each)}</text>`,
    ]),
    `<text class="quiet" x="${fixed((x(across.least) + x(across.most)) / 2)}" y="${String(panel.height - margin.bottom + 32)}" text-anchor="middle">${escaped(xLabel)}</text>`,
    ...curves.map((curve) => drawCurve(curve, x, y)),
    ...curves.map(drawKey),
  ].join('\n');
}

function drawCurve({ tone, isDashed = false, points }: Curve, x: Scale, y: Scale): string {
  const path = points.map(([atX, atY]) => `${fixed(x(atX))},${fixed(y(atY))}`).join(' ');
  const dots = points.map(
    ([atX, atY]) =>
      `<circle class="f${String(tone)}" cx="${fixed(x(atX))}" cy="${fixed(y(atY))}" r="3"><title>${atX.toLocaleString('en')}: ${inWords(atY)}</title></circle>`,
  );
  const dashed = isDashed ? ' dashed' : '';
  return [`<polyline class="curve s${String(tone)}${dashed}" points="${path}"/>`, ...dots].join('\n');
}

/** Two to a line, below the axis. */
function drawKey({ label, tone, isDashed = false }: Curve, index: number): string {
  const left = margin.left + (index % 2) * 205;
  const top = panel.height - 34 + Math.floor(index / 2) * 17;
  const dashed = isDashed ? ' dashed' : '';
  return (
    `<line class="curve s${String(tone)}${dashed}" x1="${String(left)}" x2="${String(left + 22)}" y1="${String(top - 4)}" y2="${String(top - 4)}"/>` +
    `<text x="${String(left + 28)}" y="${String(top)}">${escaped(label)}</text>`
  );
}

interface Range {
  readonly least: number;
  readonly most: number;
}

type Scale = (value: number) => number;

/** LIMIT: what is above a power of ten by less is drawn just outside the plot, rather than in one that is empty for the most part. */
const slack = 1.05;

/** From the power of ten below the least to the one above the greatest. */
function decadesOf(values: readonly number[]): Range {
  const least = 10 ** Math.floor(Math.log10(Math.min(...values)));
  return { least, most: Math.max(10 * least, 10 ** Math.ceil(Math.log10(Math.max(...values) / slack))) };
}

function decadesIn({ least, most }: Range): readonly number[] {
  const count = Math.round(Math.log10(most / least)) + 1;
  return Array.from({ length: count }, (_, index) => least * 10 ** index);
}

function scaleOf({ least, most }: Range, from: number, to: number): Scale {
  return (value) => from + ((to - from) * Math.log10(value / least)) / Math.log10(most / least);
}

function fixed(value: number): string {
  return value.toFixed(1);
}

function inWords(value: number): string {
  return value >= 1
    ? Number(value.toPrecision(3)).toLocaleString('en')
    : String(Number(value.toPrecision(2)));
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

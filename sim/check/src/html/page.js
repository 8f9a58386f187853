'use strict';
(() => {
const data = JSON.parse(document.getElementById('data').textContent);
const at = id => document.getElementById(id);
const { lanes, lane, process, words, keys, start, end, from, to, outcome, what, about, marks } = data;
const total = lane.length, events = data.events;
document.querySelector('main').hidden = false;

// Which operations contradict each other: their place in the text, from 0.
const marked = new Map(marks.map((mark, place) => [mark.operation, place]));
const stuck = new Map(data.blocked.map(blocked => [marks[blocked.mark].operation, blocked.needs]));
const before = data.before;

// ---- where an operation is along the axis

let byTime = data.timed;
const left = i => byTime ? start[i] : from[i];
const right = i => byTime ? end[i] : to[i];
const extent = () => byTime ? Math.max(data.span, 1) : Math.max(events, 1);

// ---- what is shown

let rows = [];      // of each row the operations that pass the filters, in order
let rowOf = [];     // of each lane its row, or -1
let view = { x: 0, width: 1, y: 0 };
let hover = -1, kept = -1;

function filter() {
  const key = at('key').value.trim(), text = at('text').value.toLowerCase(), only = at('only').checked;
  const wanted = at('process').value.trim().replace(/^p/, '');
  const keyIndex = key === '' ? null : keys.indexOf(key);
  const matching = text === '' ? null : words.map(word => word.toLowerCase().includes(text));
  const lists = lanes.map(() => []);
  let shown = 0;
  for (let i = 0; i < total; i++) {
    if (only && !marked.has(i)) continue;
    if (keyIndex !== null && !(Array.isArray(about[i]) ? about[i].includes(keyIndex) : about[i] === keyIndex)) continue;
    if (wanted !== '' && String(process[i]) !== wanted) continue;
    if (matching && !matching[what[i]]) continue;
    lists[lane[i]].push(i);
    shown++;
  }
  rows = [];
  rowOf = lists.map(list => list.length ? rows.push(list) - 1 : -1);
  at('count').textContent = `${shown.toLocaleString('en')} of ${total.toLocaleString('en')} operations`;
  overviewPicture = null;
  layout();
}

function showAll() { const all = extent(); move(-all * .01, all * 1.02); }
function showMarks() {
  if (!marks.length) return showAll();
  const shown = marks.map(mark => mark.operation).concat(before === null ? [] : [before]);
  const a = Math.min(...shown.map(left)), b = Math.max(...shown.map(i => Math.min(right(i), extent())));
  const margin = Math.max((b - a) * .15, extent() * 1e-6, byTime ? 1 : 2);
  move(a - margin, b - a + 3 * margin);
  const first = rowOf[lane[marks[0].operation]] * ROW;
  if (first >= 0) view.y = Math.max(0, Math.min(first - 2 * ROW, rows.length * ROW - room()));
  draw();
}
function move(x, width) {
  const all = extent();
  width = Math.min(Math.max(width, byTime ? 20 : 4), all * 1.1 + 4);
  view.x = Math.min(Math.max(x, -all * .05 - width * .3), all * 1.05 - width * .7);
  view.width = width;
  draw();
}
function zoom(factor, place = .5) { move(view.x + view.width * place * (1 - factor), view.width * factor); }

// ---- the chart

const ROW = 24, BAR = 18, TOP = 22, LABEL = 56;
const chart = at('chart'), overview = at('overview');
const pen = chart.getContext('2d'), small = overview.getContext('2d');
let color = {}, size = { width: 0, height: 0 }, overviewPicture = null, waiting = false;

function room() { return size.height - TOP; }
function layout() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ['ground', 'ink', 'quiet', 'line', 'ok', 'fail', 'info', 'mark', 'stuck', 'strong', 'band'])
    color[name] = style.getPropertyValue('--' + name).trim();
  const most = Math.max(200, innerHeight - 150);
  size = { width: chart.clientWidth, height: TOP + Math.min(Math.max(rows.length, 3) * ROW, most) };
  chart.style.height = size.height + 'px';
  for (const [canvas, context, height] of [[chart, pen, size.height], [overview, small, 44]]) {
    const dots = devicePixelRatio || 1;
    canvas.width = size.width * dots;
    canvas.height = height * dots;
    context.setTransform(dots, 0, 0, dots, 0, 0);
  }
  view.y = Math.max(0, Math.min(view.y, rows.length * ROW - room()));
  overviewPicture = null;
  draw();
}
function draw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; paint(); paintOverview(); });
}
const xOf = value => LABEL + (value - view.x) / view.width * (size.width - LABEL);
const valueAt = x => view.x + (x - LABEL) / (size.width - LABEL) * view.width;

// The first operation of a row that ends at or behind a place: those of a row come one after the other.
function firstFrom(list, value, low = 0) {
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (right(list[middle]) < value) low = middle + 1; else high = middle;
  }
  return low;
}

function paint() {
  const { width, height } = size;
  pen.fillStyle = color.ground;
  pen.fillRect(0, 0, width, height);
  pen.font = '12px system-ui, sans-serif';
  pen.textBaseline = 'middle';
  pen.save();
  pen.beginPath();
  pen.rect(0, TOP, width, height - TOP);
  pen.clip();
  const firstRow = Math.max(0, Math.floor(view.y / ROW));
  const lastRow = Math.min(rows.length - 1, Math.floor((view.y + room()) / ROW));
  for (let row = firstRow; row <= lastRow; row++) {
    const y = TOP + row * ROW - view.y;
    if (row % 2) { pen.fillStyle = color.band; pen.fillRect(0, y, width, ROW); }
    paintRow(rows[row], y + (ROW - BAR) / 2);
  }
  paintOrder();
  for (let row = firstRow; row <= lastRow; row++) {
    const y = TOP + row * ROW - view.y;
    pen.fillStyle = row % 2 ? color.band : color.ground;
    pen.fillRect(0, y, LABEL - 1, ROW);
    pen.fillStyle = color.quiet;
    pen.fillText(lanes[lane[rows[row][0]]], 6, y + ROW / 2, LABEL - 10);
  }
  if (!rows.length) { pen.fillStyle = color.quiet; pen.fillText('nothing passes the filters', LABEL + 8, TOP + 20); }
  pen.restore();
  paintAxis();
}

function paintRow(list, y) {
  const edge = valueAt(size.width), perPixel = view.width / (size.width - LABEL);
  for (let n = firstFrom(list, valueAt(LABEL)); n < list.length; n++) {
    const i = list[n];
    if (left(i) > edge) break;
    const x = xOf(left(i)), wide = Math.max(xOf(right(i)) - x, 1);
    paintBar(i, x, y, wide);
    // What lies within the same dot is not seen.
    if (wide < 1.5 && n + 1 < list.length && left(list[n + 1]) < left(i) + perPixel) {
      const next = firstFrom(list, left(i) + perPixel, n + 1);
      for (let m = n + 1; m < next && marked.size; m++)
        if (marked.has(list[m])) paintBar(list[m], xOf(left(list[m])), y, 1);
      n = Math.max(n, next - 1);
    }
  }
}

const tints = ['ok', 'fail', 'info'];
function paintBar(i, x, y, wide) {
  const isMarked = marked.has(i), isStuck = stuck.has(i);
  const tint = isStuck ? color.stuck : isMarked ? color.mark : color[tints[outcome[i]]];
  if (isMarked) wide = Math.max(wide, 3);
  if (outcome[i] === 2 && wide > 3) {
    const fade = pen.createLinearGradient(x, 0, x + wide, 0);
    fade.addColorStop(.4, tint);
    fade.addColorStop(1, 'transparent');
    pen.fillStyle = fade;
  } else pen.fillStyle = tint;
  pen.fillRect(x, y, wide, BAR);
  if (i === before) { pen.strokeStyle = color.mark; pen.lineWidth = 2; pen.strokeRect(x, y, Math.max(wide, 3), BAR); }
  if (i === hover || i === kept) { pen.strokeStyle = color.ink; pen.lineWidth = 1.5; pen.strokeRect(x - .5, y - .5, wide + 1, BAR + 1); }
  const shown = Math.min(x + wide, size.width) - Math.max(x, LABEL);
  if (shown > 26) {
    pen.save();
    pen.beginPath();
    pen.rect(Math.max(x, LABEL), y, shown - 3, BAR);
    pen.clip();
    pen.fillStyle = isMarked ? color.strong : color.ink;
    pen.fillText(title(i), Math.max(x, LABEL) + 4, y + BAR / 2 + .5);
    pen.restore();
  }
}

const title = i => (marked.has(i) ? marked.get(i) + 1 + '. ' : '') + words[what[i]];

// Words beside a bar that is too small for them, or about it.
function label(i, text, tint) {
  const y = TOP + rowOf[lane[i]] * ROW - view.y + ROW / 2, x = xOf(right(i)) + 6, wide = pen.measureText(text).width;
  if (xOf(right(i)) < LABEL || xOf(left(i)) > size.width) return;
  const place = x + wide + 4 > size.width ? Math.max(LABEL + 2, xOf(left(i)) - wide - 8) : x;
  pen.fillStyle = color.ground;
  pen.globalAlpha = .88;
  pen.fillRect(place - 3, y - 9, wide + 6, 18);
  pen.globalAlpha = 1;
  pen.fillStyle = tint;
  pen.fillText(text, place, y + .5);
}

// The longest legal order: a point in each operation, as early as it can be, and a line through them.
function paintOrder() {
  let value = -Infinity, last = null;
  const middle = i => TOP + rowOf[lane[i]] * ROW - view.y + ROW / 2;
  const visible = i => rowOf[lane[i]] >= 0;
  const points = [];
  for (const place of data.longest) {
    const i = marks[place].operation;
    value = Math.max(value, left(i));
    if (visible(i)) points.push([xOf(value), middle(i)]);
  }
  pen.strokeStyle = pen.fillStyle = color.ink;
  pen.lineWidth = 1.5;
  for (const [x, y] of points) {
    if (last) { pen.beginPath(); pen.moveTo(...last); pen.lineTo(x, y); pen.stroke(); arrow(last, [x, y]); }
    last = [x, y];
  }
  for (const [x, y] of points) { pen.beginPath(); pen.arc(x, y, 3.5, 0, 7); pen.fill(); }
  pen.font = '600 12px system-ui, sans-serif';
  for (const i of marked.keys()) {
    if (!visible(i)) continue;
    const fits = xOf(right(i)) - xOf(left(i)) > pen.measureText(title(i)).width + 8;
    if (stuck.has(i)) label(i, fits ? `needs ${stuck.get(i)}` : `${title(i)}: needs ${stuck.get(i)}`, color.stuck);
    else if (!fits) label(i, title(i), color.mark);
  }
  pen.font = '12px system-ui, sans-serif';
}
function arrow([x0, y0], [x1, y1]) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (length < 16) return;
  const [dx, dy] = [(x1 - x0) / length, (y1 - y0) / length], [x, y] = [x1 - dx * 4, y1 - dy * 4];
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(x - dx * 8 - dy * 4, y - dy * 8 + dx * 4);
  pen.lineTo(x - dx * 8 + dy * 4, y - dy * 8 - dx * 4);
  pen.fill();
}

function paintAxis() {
  pen.fillStyle = color.ground;
  pen.fillRect(0, 0, size.width, TOP);
  pen.strokeStyle = color.line;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(0, TOP - .5);
  pen.lineTo(size.width, TOP - .5);
  const rough = view.width / Math.max(2, (size.width - LABEL) / 110), power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(byTime ? 1e-9 : 1, power * ([1, 2, 5, 10].find(n => n * power >= rough) || 10));
  pen.fillStyle = color.quiet;
  for (let value = Math.ceil(Math.max(valueAt(LABEL), 0) / step) * step; value <= Math.min(valueAt(size.width), extent() * 1.05); value += step) {
    const x = Math.round(xOf(value)) + .5;
    pen.moveTo(x, TOP - 6);
    pen.lineTo(x, TOP);
    pen.fillText(byTime ? timeText(value, step) : `event ${Math.round(value)}`, x + 4, TOP / 2);
  }
  pen.moveTo(LABEL - .5, TOP);
  pen.lineTo(LABEL - .5, size.height);
  pen.stroke();
}

// In the unit in which neighbours on the axis differ.
function timeText(ns, step) {
  // Of a clock that began long ago, what has passed since the first event.
  const late = data.base > 1e15;
  if (!late) ns += data.base;
  return (late ? '+' : '') + inUnit(ns, step);
}
function inUnit(ns, step) {
  const [unit, name] = step >= 1e8 ? [1e9, 's'] : step >= 1e5 ? [1e6, 'ms'] : step >= 100 ? [1e3, 'µs'] : [1, 'ns'];
  if (unit < 1e9 && ns >= unit * 1e5) return (ns / 1e9).toFixed(Math.min(9, Math.ceil(-Math.log10(step / 1e9)))) + ' s';
  return +(ns / unit).toFixed(Math.max(0, Math.ceil(-Math.log10(step / unit)))) + ' ' + name;
}

// ---- the overview: how many operations there are, and where the view is

function paintOverview() {
  const { width } = size, height = 44, all = extent();
  if (!overviewPicture) {
    const columns = new Float64Array(Math.max(1, Math.floor(width)));
    for (const list of rows) for (const i of list) columns[Math.min(columns.length - 1, Math.floor(left(i) / all * columns.length))]++;
    overviewPicture = { columns, most: columns.reduce((a, b) => Math.max(a, b), 1) };
  }
  small.fillStyle = color.ground;
  small.fillRect(0, 0, width, height);
  small.fillStyle = color.ok;
  overviewPicture.columns.forEach((number, x) => {
    const tall = number ? Math.max(1, number / overviewPicture.most * (height - 10)) : 0;
    small.fillRect(x, height - tall, 1, tall);
  });
  for (const { operation } of marks) {
    small.fillStyle = stuck.has(operation) ? color.stuck : color.mark;
    small.fillRect(left(operation) / all * width - 1, 0, 3, height);
  }
  const x = view.x / all * width, wide = Math.max(view.width / all * width, 4);
  small.fillStyle = color.ink;
  small.globalAlpha = .14;
  small.fillRect(x, 0, wide, height);
  small.globalAlpha = 1;
  small.strokeStyle = color.ink;
  small.strokeRect(x + .5, .5, wide - 1, height - 1);
}

// ---- pointing

function operationAt(x, y) {
  const list = rows[Math.floor((y - TOP + view.y) / ROW)];
  if (!list || x < LABEL || y < TOP) return -1;
  const reach = view.width / (size.width - LABEL) * 3;
  const value = valueAt(x);
  let best = -1, distance = Infinity;
  for (let n = firstFrom(list, value - reach); n < list.length && left(list[n]) <= value + reach; n++) {
    const i = list[n], away = Math.max(left(i) - value, value - right(i), 0) - (marked.has(i) ? reach : 0);
    if (away < distance) { best = i; distance = away; }
    if (n > 200_000) break;
  }
  return best;
}
const outcomes = ['answered', 'did not happen', 'unknown: may take effect at any later time, or never'];
function describe(i) {
  const lines = [`${words[what[i]]}`, `operation ${i} by p${process[i]}, ${outcomes[outcome[i]]}`];
  if (marked.has(i)) lines.push(`number ${marked.get(i) + 1} of what contradicts each other${marks[marked.get(i)].optional ? ' (need not take effect)' : ''}`);
  if (stuck.has(i)) lines.push(`needs ${stuck.get(i)}`);
  if (i === before) lines.push('made the state in which the contradiction begins');
  if (data.timed) {
    const at = ns => ((ns + data.base) / 1e9).toFixed(6) + ' s';
    lines.push(data.open[i] ? `from ${at(start[i])}, never ended` : `${at(start[i])} to ${at(end[i])} (${((end[i] - start[i]) / 1e6).toFixed(3)} ms)`);
  }
  lines.push(data.open[i] ? `event ${from[i]}` : `events ${from[i]} and ${to[i]}`);
  return lines.join('\n');
}
function showTip(i, x, y) {
  const tip = at('tip');
  tip.hidden = i < 0;
  if (i < 0) return;
  tip.textContent = describe(i);
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - tip.offsetWidth - 8)) + 'px';
  tip.style.top = (y + 18 + tip.offsetHeight > innerHeight ? y - tip.offsetHeight - 10 : y + 18) + 'px';
}

const held = new Map();
let dragged = false;
function place(event) { const box = chart.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; }
chart.addEventListener('pointerdown', event => {
  chart.setPointerCapture(event.pointerId);
  held.set(event.pointerId, place(event));
  dragged = false;
});
chart.addEventListener('pointermove', event => {
  const [x, y] = place(event), was = held.get(event.pointerId);
  if (!was) {
    const now = operationAt(x, y);
    if (now !== hover) { hover = now; draw(); }
    chart.style.cursor = now >= 0 ? 'pointer' : 'grab';
    return showTip(now >= 0 ? now : kept, event.clientX, event.clientY);
  }
  if (held.size === 2) {
    const other = [...held].find(([id]) => id !== event.pointerId)[1];
    const apart = Math.abs(was[0] - other[0]), now = Math.abs(x - other[0]);
    if (apart > 10 && now > 10) zoom(apart / now, ((x + other[0]) / 2 - LABEL) / (size.width - LABEL));
  } else {
    if (Math.hypot(x - was[0], y - was[1]) < 3 && !dragged) return;
    dragged = true;
    view.y = Math.max(0, Math.min(view.y - (y - was[1]), rows.length * ROW - room()));
    move(view.x - (x - was[0]) / (size.width - LABEL) * view.width, view.width);
  }
  at('tip').hidden = true;
  held.set(event.pointerId, [x, y]);
});
for (const name of ['pointerup', 'pointercancel']) chart.addEventListener(name, event => {
  held.delete(event.pointerId);
  if (name === 'pointerup' && !dragged) { kept = operationAt(...place(event)); showTip(kept, event.clientX, event.clientY); draw(); }
});
chart.addEventListener('pointerleave', () => { hover = -1; at('tip').hidden = true; draw(); });
chart.addEventListener('wheel', event => {
  event.preventDefault();
  at('tip').hidden = true;
  const lines = event.deltaMode === 1 ? 30 : 1;
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))
    move(view.x + (event.deltaX || event.deltaY) * lines / size.width * view.width, view.width);
  else zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY * lines / 300))), (place(event)[0] - LABEL) / (size.width - LABEL));
}, { passive: false });
chart.addEventListener('keydown', event => {
  const steps = {
    ArrowLeft: () => move(view.x - view.width * .2, view.width), ArrowRight: () => move(view.x + view.width * .2, view.width),
    ArrowUp: () => { view.y = Math.max(0, view.y - ROW); draw(); },
    ArrowDown: () => { view.y = Math.max(0, Math.min(view.y + ROW, rows.length * ROW - room())); draw(); },
    '+': () => zoom(.6), '=': () => zoom(.6), '-': () => zoom(1 / .6), Home: showMarks, End: showAll,
  };
  if (!steps[event.key] || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  steps[event.key]();
});
let moving = false;
const jump = event => {
  const box = overview.getBoundingClientRect();
  move((event.clientX - box.left) / box.width * extent() - view.width / 2, view.width);
};
overview.addEventListener('pointerdown', event => { moving = true; overview.setPointerCapture(event.pointerId); jump(event); });
overview.addEventListener('pointermove', event => { if (moving) jump(event); });
overview.addEventListener('pointerup', () => { moving = false; });

// ---- tools

at('home').addEventListener('click', showMarks);
at('all').addEventListener('click', showAll);
at('in').addEventListener('click', () => zoom(.6));
at('out').addEventListener('click', () => zoom(1 / .6));
at('axis').addEventListener('change', () => { byTime = at('axis').value === 'time'; overviewPicture = null; showMarks(); });
for (const id of ['key', 'process', 'text', 'only']) at(id).addEventListener('input', filter);
at('tools').addEventListener('submit', event => event.preventDefault());
at('keybox').hidden = !keys.length;
at('home').hidden = at('onlybox').hidden = document.querySelector('.order').hidden = !marks.length;
if (!data.timed) { at('axis').value = 'order'; at('axis').parentElement.hidden = true; }
for (const key of keys.slice(0, 1000)) {
  const option = document.createElement('option');
  option.value = key;
  at('keys').append(option);
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', layout);
addEventListener('resize', layout);
filter();
showMarks();
})();

// Sends the forms of the console to REST, and follows a run. No other code runs on these pages.
"use strict";

const API = "/api/v1/";

async function send(path, body) {
  const response = await fetch(API + path, {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify(body),
  });
  const text = await response.text();
  let result;
  try {
    result = JSON.parse(text);
  } catch {
    result = {message: text.slice(0, 500)};
  }
  if (!response.ok) throw new Error(result.message);
  return result;
}

function say(place, text, tone) {
  const line = place.querySelector(".message");
  line.textContent = text;
  line.className = "message " + (tone || "");
}

function valueOf(input) {
  const kind = input.dataset.kind;
  if (kind === "truth" || input.type === "checkbox") return input.checked;
  if (input.value === "") return null;
  return kind === "integer" || kind === "number" ? Number(input.value) : input.value;
}

// Start a run

function overridesOf(form) {
  const overrides = {};
  for (const input of form.querySelectorAll("[data-key]")) {
    const value = valueOf(input);
    const changed = JSON.stringify(value) !== JSON.stringify(JSON.parse(input.dataset.value));
    input.classList.toggle("changed", changed);
    if (changed) overrides[input.dataset.key] = value;
  }
  return overrides;
}

function bodyOf(form) {
  const presets = [...form.querySelectorAll("[data-preset]")]
    .filter((one) => one.value)
    .map((one) => one.dataset.preset + "=" + one.value);
  return {task: form.dataset.task, overrides: overridesOf(form), presets};
}

async function check(form) {
  const {overrides, presets} = bodyOf(form);
  try {
    await send(`tasks/${form.dataset.task}/settings`, {overrides, presets});
    const count = Object.keys(overrides).length + presets.length;
    say(form, count ? `${count} change(s), valid` : "", "good");
  } catch (error) {
    say(form, error.message, "bad");
  }
}

function setUpRunForm(form) {
  let timer;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => check(form), 300);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const run = await send("runs", {
        ...bodyOf(form),
        logs: form.elements.logs.value || null,
        priority: Number(form.elements.priority.value || 0),
        resume: form.elements.resume.checked,
      });
      location.assign("/kinemill/console/runs/" + run.id);
    } catch (error) {
      say(form, error.message, "bad");
      button.disabled = false;
    }
  });
}

// Decide

function setUpDecision(form) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = {};
    for (const input of form.elements) {
      if (input.name && input.tagName !== "BUTTON") body[input.name] = valueOf(input) ?? "";
    }
    if (event.submitter && event.submitter.name) body[event.submitter.name] = event.submitter.value;
    try {
      const result = await send(form.dataset.path, body);
      const done = result.aliases ? "now: " + (result.aliases.join(", ") || "no alias")
        : "recorded: " + result.decision;
      say(form, done, "good");
    } catch (error) {
      say(form, error.message, "bad");
    }
  });
}

// Follow a run

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 340, HEIGHT = 170, LEFT = 62, BOTTOM = 22;

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function draw(figure, points) {
  const steps = points.map((one) => one[0]), values = points.map((one) => one[1]);
  const logarithmic = Math.min(...values) > 0 && Math.max(...values) > 20 * Math.min(...values);
  const scaled = logarithmic ? values.map(Math.log10) : values;
  const low = Math.min(...scaled), high = Math.max(...scaled), last = Math.max(...steps, 1);
  const x = (step) => LEFT + (WIDTH - LEFT - 6) * step / last;
  const y = (value) => 8 + (HEIGHT - BOTTOM - 8) * (high - value) / ((high - low) || 1);
  const svg = element("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img"});
  svg.append(element("path", {class: "frame", d: `M${LEFT} 8V${HEIGHT - BOTTOM}H${WIDTH - 6}`}));
  const path = steps.map((step, index) => `${index ? "L" : "M"}${x(step)} ${y(scaled[index])}`);
  svg.append(element("path", {class: "line model", d: path.join("")}));
  if (steps.length === 1) {
    svg.append(element("circle", {class: "dot", cx: x(steps[0]), cy: y(scaled[0]), r: 3}));
  }
  const spell = (value) => String(Number((logarithmic ? 10 ** value : value).toPrecision(3)));
  const right = {class: "axis", "text-anchor": "end"};
  svg.append(element("text", {...right, x: LEFT - 4, y: 14}, spell(high)));
  svg.append(element("text", {...right, x: LEFT - 4, y: HEIGHT - BOTTOM}, spell(low)));
  svg.append(element("text", {...right, x: WIDTH - 6, y: HEIGHT - 6}, `step ${last}`));
  figure.querySelector("svg")?.remove();
  figure.append(svg);
}

function follow(section) {
  const run = section.dataset.run, charts = section.querySelector(".charts");
  const series = new Map(), figures = new Map();
  const bar = section.querySelector("progress"), cancel = section.querySelector("[data-cancel]");
  const source = new EventSource(`${API}runs/${run}/metrics/stream`);

  function show(document_) {
    document.querySelector("[data-status]").textContent = document_.status;
    if (document_.total_steps) {
      bar.hidden = false;
      bar.max = document_.total_steps;
      bar.value = document_.step || 0;
    }
  }

  source.addEventListener("status", (event) => show(JSON.parse(event.data)));
  source.addEventListener("points", (event) => {
    const {total_steps: total, points} = JSON.parse(event.data), touched = new Set();
    for (const {step, time, ...values} of points) {
      for (const [name, value] of Object.entries(values)) {
        if (value === null) continue;
        if (!series.has(name)) series.set(name, []);
        series.get(name).push([step, value]);
        touched.add(name);
      }
      if (total) {
        bar.hidden = false;
        bar.max = total;
        bar.value = step;
      }
    }
    for (const name of touched) {
      if (!figures.has(name)) {
        const figure = document.createElement("figure");
        const caption = document.createElement("figcaption");
        caption.textContent = name;
        figure.append(caption);
        charts.append(figure);
        figures.set(name, figure);
      }
      draw(figures.get(name), series.get(name));
    }
  });
  source.addEventListener("end", (event) => {
    source.close();
    cancel.hidden = true;
    const document_ = JSON.parse(event.data);
    show(document_);
    const tone = document_.status === "completed" ? "good" : "bad";
    say(section, document_.error || document_.model || document_.status, tone);
    const version = /^models:\/(\w+)\/(\d+)$/.exec(document_.model || "");
    if (version) {
      const link = document.createElement("a");
      link.href = `/kinemill/tasks/${version[1]}/${version[2]}`;
      link.textContent = `Version ${version[2]} and the decision of the gate`;
      section.querySelector(".message").replaceChildren(link);
    }
  });
  source.onerror = () => say(section, "the server does not answer; trying again", "bad");
  source.onopen = () => {
    say(section, "");
    series.clear();
  };
  cancel.addEventListener("click", async () => {
    cancel.disabled = true;
    try {
      await send(`runs/${run}/cancel`, {});
    } catch (error) {
      say(section, error.message, "bad");
      cancel.disabled = false;
    }
  });
}

for (const form of document.querySelectorAll("form.run")) setUpRunForm(form);
for (const form of document.querySelectorAll("form.decision")) setUpDecision(form);
for (const section of document.querySelectorAll("section[data-run]")) follow(section);

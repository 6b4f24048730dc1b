// Sends the forms of the console to REST, and follows a run. No other code runs on these pages.
"use strict";

const API = "/api/v1/";

async function request(path, options) {
  const response = await fetch(API + path, options);
  const text = await response.text();
  let result;
  try {
    result = JSON.parse(text);
  } catch {
    result = {message: text.slice(0, 500)};
  }
  if (!response.ok) throw new Error(result.text || result.message);
  return result;
}

function send(path, body) {
  const headers = {"Content-Type": "application/json"};
  return request(path, {method: "POST", headers, body: JSON.stringify(body)});
}

// Return a text with control characters as escapes, as kinemill/reports/control_characters.py.
function visible(text) {
  return String(text ?? "").replace(/(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (letter) => "\\u" + letter.codePointAt(0).toString(16).padStart(4, "0"));
}

function say(place, text, tone) {
  const line = place.querySelector(".message");
  line.textContent = visible(text);
  line.className = "message " + (tone || "");
}

function valueOf(input) {
  const kind = input.dataset.kind;
  if (kind === "truth" || input.type === "checkbox") return input.checked;
  if (input.value === "") return null;
  if (kind === "json") return JSON.parse(input.value);
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

// Names of logs in a table, and patterns that match nothing else.
function selectedLogs(part) {
  return [...part.querySelectorAll("[data-log]:checked")].map((item) => item.dataset.log);
}

function includesOf(form) {
  const part = form.querySelector(".logs");
  if (!part) return {};
  const version = part.querySelector("[data-versions]")?.selectedOptions[0];
  const names = version?.value ? JSON.parse(version.dataset.names) : selectedLogs(part);
  part.querySelector("[data-count]").textContent = names.length ? String(names.length) : "all";
  if (!names.length) return {};
  names.push(...[...form.elements.files.files].map((file) => file.name));
  return {"ingest.include": names.map((name) => name.replace(/[*?[]/g, "[$&]"))};
}

function setUpVersions(part) {
  const select = part.querySelector("[data-versions]");
  if (!select) return;
  select.addEventListener("input", () => {
    const names = new Set(JSON.parse(select.selectedOptions[0].dataset.names || "[]"));
    for (const item of part.querySelectorAll("[data-log]")) item.checked = names.has(item.dataset.log);
  });
  for (const item of part.querySelectorAll("[data-log]")) {
    item.addEventListener("input", () => { select.value = ""; });
  }
}

function bodyOf(form) {
  const presets = [...form.querySelectorAll("[data-preset]")]
    .filter((item) => item.value)
    .map((item) => item.dataset.preset + "=" + item.value);
  const overrides = {...overridesOf(form), ...includesOf(form)};
  return {task: form.dataset.task, overrides, presets};
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

// Show the settings with the text of the search box, and open their parts.
function setUpSearch(form) {
  const box = form.querySelector("[data-search]");
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();  // it would start the run
  });
  box.addEventListener("input", (event) => {
    event.stopPropagation();  // no setting has changed
    const text = box.value.trim().toLowerCase();
    for (const settings of form.querySelectorAll(".settings")) {
      const items = [...settings.children], part = settings.closest("details");
      for (const item of items) {
        const key = item.querySelector("[data-key]").dataset.key;
        item.hidden = !`${key} ${item.textContent}`.toLowerCase().includes(text);
      }
      part.hidden = items.every((item) => item.hidden);
      if (text) part.open = !part.hidden;
    }
  });
}

const uploaded = new Set();  // names, which a second try must not send again

async function upload(form, path) {
  const files = [...form.elements.files?.files ?? []].filter((file) => !uploaded.has(file.name));
  for (const [index, file] of files.entries()) {
    say(form, `uploading ${index + 1} of ${files.length}: ${file.name}`);
    await request(`${path}/logs/${encodeURIComponent(file.name)}`, {method: "PUT", body: file});
    uploaded.add(file.name);
  }
}

function setUpRunForm(form) {
  for (const part of form.querySelectorAll(".logs")) setUpVersions(part);
  setUpSearch(form);
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
      await upload(form, "tasks/" + form.dataset.task);
      const run = await send("runs", {
        ...bodyOf(form),
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

// Draft a new task

function choicesOf(form) {
  return [...form.querySelectorAll("[data-folder]")]
    .map((part) => ({
      folder: part.dataset.folder,
      names: part.querySelector("[data-whole]").checked ? [] : selectedLogs(part),
      whole: part.querySelector("[data-whole]").checked,
    }))
    .filter((item) => item.whole || item.names.length)
    .map(({folder, names}) => ({folder, names}));
}

function setUpNewTask(form) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button"), {name, learn, rate, files} = form.elements;
    const logs = choicesOf(form);
    if (!logs.length && !files.files.length) {
      say(form, "upload logs, or select logs of the server", "bad");
      return;
    }
    button.disabled = true;
    try {
      const hertz = rate.value === "" ? null : Number(rate.value);
      const draft = await send("drafts", {name: name.value, learn: learn.value, rate: hertz, logs});
      uploaded.clear();  // each draft has its own
      await upload(form, "drafts/" + draft.id);
      say(form, "reading the logs; this takes at most 5 minutes");
      await send(`drafts/${draft.id}/build`, {});
      location.assign("/kinemill/console/drafts/" + draft.id);
    } catch (error) {
      say(form, error.message, "bad");
      button.disabled = false;
    }
  });
}

// Edit a draft

function rowsOf(form) {
  const rows = new Map();
  for (const input of form.querySelectorAll("[data-channel]")) {
    const name = input.dataset.channel;
    if (!rows.has(name)) rows.set(name, {});
    const field = input.dataset.field;
    rows.get(name)[field] = field === "use" ? input.checked : input.value;
  }
  return [...rows].filter(([, row]) => row.use).map(([channel, row]) => {
    const ends = [row.low, row.high].map((end) => (end === "" ? null : Number(end)));
    return {
      channel, name: row.name, role: row.role, kind: row.kind ?? null, unit: row.unit,
      limits: row.low === "" && row.high === "" ? null : ends,
      derivative_of: row.relation ? row.parent : null, derived: row.relation === "derived",
    };
  });
}

// The place of a problem: a key of a channel has its new name, and the page the one of the draft.
function placeOf(form, key, rows) {
  const [part, name, field] = key.split(".");
  if (part !== "channels") return form.querySelector(`[data-problem="${CSS.escape(key)}"]`);
  const row = rows.find((item) => item.name === name);
  if (!row) return null;
  const cell = {role: "role", kind: "role", unit: "unit", limits: "limits", derivative_of: "relation",
    derived: "relation", of: "relation"}[field] || "name";
  return form.querySelector(`[data-problem="${CSS.escape(`channels.${row.channel}.${cell}`)}"]`);
}

function showProblems(form, problems, rows) {
  for (const place of form.querySelectorAll(".problem")) place.textContent = "";
  const others = [];
  for (const {key, message} of problems) {
    const place = placeOf(form, key, rows);
    if (place) place.textContent += (place.textContent ? "; " : "") + visible(message);
    else others.push(key ? `${key}: ${message}` : message);
  }
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  if (problems.length) say(form, [count, ...others].join("; "), "bad");
  else say(form, "valid", "good");
}

// Return the edited task, or null if it has problems, which the fields then show.
async function editedTask(form) {
  const channels = rowsOf(form), settings = overridesOf(form);
  const turn = (Number(form.dataset.turn) || 0) + 1;
  form.dataset.turn = turn;
  const {task, problems} = await send(`drafts/${form.dataset.draft}/edit`, {channels, settings});
  if (Number(form.dataset.turn) === turn) showProblems(form, problems, channels);
  return problems.length ? null : task;
}

function reasonsOf(file) {
  const listed = file.reasons.slice(0, 4).map((item) =>
    `${item.check} ${item.channel || ""} ${item.where}: ${item.found}`
    + (item.expected ? `, expected ${item.expected}` : ""));
  const more = file.reasons.length - listed.length;
  return more ? [...listed, `and ${more} more`] : listed;
}

function showResults(form, {files, dataset}) {
  const place = form.querySelector(".results"), body = place.querySelector("tbody");
  const heads = [...place.querySelectorAll("th")].map((item) => item.textContent + ": ");
  body.replaceChildren(...files.map((file) => {
    const row = document.createElement("tr");
    const outcome = file.outcome === "episodes" ? "accepted" : file.outcome;
    const cells = [file.file, outcome, file.rows, file.dropped_rows, reasonsOf(file).join("; ")];
    cells.forEach((text, index) => {
      const cell = row.insertCell();
      cell.textContent = visible(text);
      cell.dataset.head = heads[index];
    });
    return row;
  }));
  place.querySelector("p.bad")?.remove();
  const cut = files.filter((file) => file.dropped_rows || !file.episodes).length;
  if (dataset) say(form, "no model can be trained: " + dataset, "bad");
  else say(form, cut ? `${cut} of ${files.length} logs lose rows` : "all rows are used", "good");
}

function setUpDraft(form) {
  let timer;
  const guarded = async (action) => {
    clearTimeout(timer);
    const buttons = form.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    try {
      const task = await editedTask(form);
      if (task) await action(task);
    } catch (error) {
      say(form, error.message, "bad");
    }
    for (const button of buttons) button.disabled = false;
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => editedTask(form).catch((error) => say(form, error.message, "bad")), 300);
  });
  form.querySelector("[data-check]").addEventListener("click", () => guarded(async (task) => {
    say(form, "checking the logs; this takes at most 5 minutes");
    showResults(form, await send(`drafts/${form.dataset.draft}/check`, {task}));
  }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    guarded(async (task) => {
      say(form, "writing the task");
      const created = await send("tasks", {task, draft: form.dataset.draft});
      if (created.problem) say(form, `${created.name} is written; ${created.problem}`, "bad");
      else location.assign("/kinemill/console/runs/" + created.run);
    });
  });
}

// Decide

// What a decision changed: about a version, a recording, or tags.
function doneText(result) {
  if (!result.aliases) return result.decision ? `recorded: ${result.decision}` : "";
  const version = `version ${result.version}`, before = result.previous_champion;
  if (!result.aliases.includes("champion")) return `recorded; the gate does not pass ${version}`;
  return before && before !== result.version
    ? `${version} is champion now, instead of version ${before}` : `${version} is champion now`;
}

// Show what the last decision on this page changed.
function showDone() {
  const text = sessionStorage.getItem("done");
  sessionStorage.removeItem("done");
  if (!text) return;
  const line = document.createElement("p");
  line.className = "message good";
  line.setAttribute("role", "status");
  line.textContent = visible(text);
  document.querySelector("header").after(line);
}

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
      sessionStorage.setItem("done", doneText(result));
      location.reload();  // everything else on the page is older than the decision
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
  const steps = points.map((item) => item[0]), values = points.map((item) => item[1]);
  const logarithmic = Math.min(...values) > 0 && Math.max(...values) > 20 * Math.min(...values);
  const scaled = logarithmic ? values.map(Math.log10) : values;
  const low = Math.min(...scaled), high = Math.max(...scaled), last = Math.max(...steps, 1);
  const x = (step) => LEFT + (WIDTH - LEFT - 6) * step / last;
  const y = (value) => 8 + (HEIGHT - BOTTOM - 8) * (high - value) / ((high - low) || 1);
  const label = figure.querySelector("figcaption").textContent;
  const svg = element("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label});
  svg.append(element("path", {class: "frame", d: `M${LEFT} 8V${HEIGHT - BOTTOM}H${WIDTH - 6}`}));
  const path = steps.map((step, index) => `${index ? "L" : "M"}${x(step)} ${y(scaled[index])}`);
  svg.append(element("path", {class: "line model", d: path.join("")}));
  if (steps.length === 1) {
    svg.append(element("circle", {class: "dot", cx: x(steps[0]), cy: y(scaled[0]), r: 3}));
  }
  const spell = (scale) => {
    const value = logarithmic ? 10 ** scale : scale;  // 0.0000854 would not fit
    return value && Math.abs(value) < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
  };
  const right = {class: "axis", "text-anchor": "end"};
  svg.append(element("text", {...right, x: LEFT - 4, y: 14}, spell(high)));
  svg.append(element("text", {...right, x: LEFT - 4, y: HEIGHT - BOTTOM}, spell(low)));
  svg.append(element("text", {...right, x: WIDTH - 6, y: HEIGHT - 6}, `step ${last}`));
  figure.querySelector("svg")?.remove();
  figure.append(svg);
}

// Steps, and the time left at the pace since the first of the newest points.
function stepsText(first, last, total) {
  const text = `${last.step} of ${total} steps`, done = last.step - first.step;
  if (done <= 0 || last.step >= total) return text;
  const seconds = Math.round((last.time - first.time) / done * (total - last.step));
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  return `${text}, ${clock} left`;
}

function follow(section) {
  const run = section.dataset.run, charts = section.querySelector(".charts");
  const series = new Map(), figures = new Map();
  const steps = section.querySelector("[data-steps]");
  const bar = section.querySelector("progress"), cancel = section.querySelector("[data-cancel]");
  const ended = "ended" in section.dataset;
  const source = new EventSource(`${API}runs/${run}/metrics/stream`);

  function show(document_) {
    document.querySelector("[data-status]").textContent = document_.status;
    document.querySelector("[data-stage]").textContent =
      visible(document_.waits_for ? `It waits for ${document_.waits_for}.` : document_.stage);
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
      if (total && !ended) {
        bar.hidden = false;
        bar.max = total;
        bar.value = step;
        steps.textContent = stepsText(points[0], {step, time}, total);
      }
    }
    for (const name of touched) {
      if (!figures.has(name)) {
        const figure = document.createElement("figure");
        const caption = document.createElement("figcaption");
        caption.textContent = visible(name);
        figure.append(caption);
        // Memory and load of the machine come after everything about the model.
        const isMachine = /^(system|memory)\//.test(name);
        figure.classList.toggle("machine", isMachine);
        charts.insertBefore(figure, isMachine ? null : charts.querySelector(".machine"));
        figures.set(name, figure);
      }
      draw(figures.get(name), series.get(name));
    }
  });
  source.addEventListener("end", () => {
    source.close();
    if (!ended) location.reload();  // to its result
  });
  source.onerror = () => say(section, "the server does not answer; trying again", "bad");
  source.onopen = () => {
    say(section, "");
    series.clear();
  };
  cancel?.addEventListener("click", async () => {
    cancel.disabled = true;
    try {
      await send(`runs/${run}/cancel`, {});
    } catch (error) {
      say(section, error.message, "bad");
      cancel.disabled = false;
    }
  });
}

showDone();
for (const form of document.querySelectorAll("form.run")) setUpRunForm(form);
for (const form of document.querySelectorAll("form.new")) setUpNewTask(form);
for (const form of document.querySelectorAll("form.draft")) setUpDraft(form);
for (const form of document.querySelectorAll("form.decision")) setUpDecision(form);
for (const section of document.querySelectorAll("section[data-run]")) follow(section);

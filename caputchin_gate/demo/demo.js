/* The demo's page: the buttons that behave like bots, and the live log. Nothing here is part of the gate. */
"use strict";

// The attacks. Each sends real requests and returns their answers.

const form = document.querySelector("form[data-captcha]");
const field = "caputchin-token";

async function post(token, path = "/contact") {
  const body = new URLSearchParams({name: "Bot", message: "Buy now"});
  if (token) body.set(field, token);
  const reply = await fetch(path, {method: "POST", body, headers: {Accept: "application/json, text/html;q=0.5"}});
  const problem = reply.ok ? {} : await reply.json();
  return {admitted: reply.ok, status: reply.status, code: problem["error-codes"]?.[0], detail: problem.detail};
}

function random(length) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return Array.from(crypto.getRandomValues(new Uint8Array(length)), byte => letters[byte % 64]).join("");
}

async function challenge() {
  const reply = await fetch("/.caputchin/api/v1/captcha/challenge", {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: "{}",
  });
  return (await reply.json()).token;
}

const attacks = {
  "no-token": async () => [await post()],
  "forged": async () => [await post(`${random(32)}.4711`)],
  "no-work": async () => [await post(`${await challenge()}.0`)],
  "twice": async () => {
    const token = await caputchin.solve(form);
    return [await post(token), await post(token)];
  },
  "race": async () => {
    const token = await caputchin.solve(form);
    return Promise.all(Array.from({length: 10}, () => post(token)));
  },
  "disguise": async () => [await post(null, "/%63ontact"), await post(null, "/contact%0A")],
};

// The answers beside each button: equal ones are counted.

function element(name, text, className = "") {
  return Object.assign(document.createElement(name), {textContent: text, className});
}

function summary(answers) {
  const marks = new Map();
  for (const {admitted, status, code, detail} of answers) {
    const text = admitted ? `${status} admitted` : `${status} ${code ?? "refused"}`;
    const mark = marks.get(text) ?? {admitted, detail, count: 0};
    marks.set(text, {...mark, count: mark.count + 1});
  }
  return [...marks].map(([text, {admitted, detail, count}]) => {
    const mark = element("span", count > 1 ? `${count} \u00d7 ${text}` : text, `mark ${admitted ? "admitted" : "refused"}`);
    mark.title = detail ?? "The application answered.";
    return mark;
  });
}

for (const button of document.querySelectorAll("[data-attack]")) {
  const output = button.parentElement.querySelector("output");
  button.addEventListener("click", async () => {
    button.disabled = true;
    output.replaceChildren(element("span", "sending..."));
    try {
      output.replaceChildren(...summary(await attacks[button.dataset.attack]()));
    } catch {
      output.replaceChildren(element("span", "no answer, is the demo still running?"));
    }
    button.disabled = false;
  });
}

// The log: the server sends what it kept when this page connects, then each decision as it is made.

const shown = 100;
const lines = document.getElementById("lines");
const connection = document.getElementById("connection");
const clock = new Intl.DateTimeFormat([], {hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false});

function row({at, admitted, reason, status, route, token, elapsed}) {
  const decision = element("td", "");
  decision.append(element("span", admitted ? "admitted" : "refused", `mark ${admitted ? "admitted" : "refused"}`));
  const line = document.createElement("tr");
  line.append(
    element("td", clock.format(at * 1000)),
    decision,
    element("td", reason),
    element("td", admitted ? "application" : `gate, ${status}`),
    element("td", route ?? "several", "wide"),
    element("td", token ?? "none", "wide"),
    element("td", `${elapsed.toFixed(1)} ms`, "wide number"),
  );
  return line;
}

function show({lines: news, ...totals}, className) {
  for (const [name, total] of Object.entries(totals)) document.getElementById(name).textContent = total;
  if (!news.length) return;
  lines.querySelector(".empty")?.remove();
  lines.prepend(...news.map(row).reverse());
  for (const line of [...lines.rows].slice(0, news.length)) line.className = className;
  while (lines.rows.length > shown) lines.deleteRow(-1);
}

const events = new EventSource("/decisions");
events.addEventListener("snapshot", ({data}) => {
  const state = JSON.parse(data);
  if (state.lines.length) lines.replaceChildren();
  show(state, "");
});
events.addEventListener("news", ({data}) => show(JSON.parse(data), "new"));
events.onopen = () => Object.assign(connection, {textContent: "live", className: "live"});
events.onerror = () => Object.assign(connection, {textContent: "not connected, trying again", className: ""});

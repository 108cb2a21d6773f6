// The playground page: draws what the simulated platforms show and what goes over the wire.
"use strict";

const TITLES = { dingtalk: "DingTalk 钉钉", feishu: "Feishu 飞书" };
const KEEP_EXCHANGES = 300;
const TYPED_PER_FRAME = 3;
const STILL = matchMedia("(prefers-reduced-motion: reduce)").matches;
const panes = {};

for (const name of Object.keys(TITLES)) panes[name] = makePane(name);
follow();

document.getElementById("clear").addEventListener("click", () => document.getElementById("exchanges").replaceChildren());

function makePane(name) {
  const root = document.getElementById(name);
  root.append(document.getElementById("platform-template").content.cloneNode(true));
  const pane = {
    name, root,
    chat: root.querySelector(".chat"),
    person: root.querySelector(".person"),
    text: root.querySelector(".text"),
    messages: root.querySelector(".messages"),
    drawn: new Map(),
    view: null,
  };
  root.querySelector("h2").textContent = TITLES[name];
  pane.chat.addEventListener("change", () => { pane.drawn.clear(); pane.messages.replaceChildren(); draw(pane); prompt(pane); });
  root.querySelector("form").addEventListener("submit", (event) => { event.preventDefault(); say(pane); });
  return pane;
}

function follow() {
  const link = document.getElementById("link");
  const source = new EventSource("/playground/stream");
  source.addEventListener("open", () => { link.textContent = "live"; link.className = "link on"; });
  source.addEventListener("error", () => { link.textContent = "reconnecting…"; link.className = "link off"; });
  source.addEventListener("chats", (event) => {
    for (const view of JSON.parse(event.data)) show(view);
  });
  source.addEventListener("wire", (event) => addExchange(JSON.parse(event.data)));
}

function show(view) {
  const pane = panes[view.name];
  if (!pane) return;
  const first = pane.view === null;
  pane.view = view;
  fill(pane.chat, view.chats.map((chat) => [chat.id, chat.title || chat.id]));
  fill(pane.person, view.people);
  if (first) prompt(pane);
  draw(pane);
  pane.seen = true; // what was there before the page is not typed out again
}

// Keeps the choice while the list may grow.
function fill(select, entries) {
  if (select.options.length === entries.length) return;
  const chosen = select.value;
  select.replaceChildren(...entries.map(([value, label]) => new Option(label, value)));
  if (entries.some(([value]) => value === chosen)) select.value = chosen;
}

function currentChat(pane) {
  return pane.view.chats.find((chat) => chat.id === pane.chat.value) || pane.view.chats[0];
}

function prompt(pane) {
  const chat = currentChat(pane);
  pane.text.value = chat && !chat.direct ? "@bot " : "";
}

function draw(pane) {
  const chat = currentChat(pane);
  if (!chat) return;
  const atEnd = pane.messages.scrollHeight - pane.messages.scrollTop - pane.messages.clientHeight < 60;
  if (chat.messages.length === 0) {
    pane.messages.replaceChildren(element("p", "empty", "Nothing here yet. Say hello: @bot 你好"));
  } else {
    pane.messages.querySelector(".empty")?.remove();
  }
  for (const message of chat.messages) {
    let known = pane.drawn.get(message.id);
    if (!known) {
      known = makeMessage(message);
      pane.drawn.set(message.id, known);
      pane.messages.append(known.node);
    }
    update(pane, known, message);
  }
  if (atEnd) pane.messages.scrollTop = pane.messages.scrollHeight;
}

// A message's parts stay the same nodes while its text grows, so that a button can be pressed meanwhile.
function makeMessage(message) {
  const parts = { node: element("article"), bubble: element("div", "bubble"), drawn: {} };
  parts.node.dataset.id = message.id;
  parts.node.append(element("div", "who", message.sender), parts.bubble);
  for (const name of ["title", "body", "state", "note", "actions", "toast"]) {
    parts[name] = element("div", name === "title" ? "card-title" : name);
    parts[name].hidden = true;
    parts.bubble.append(parts[name]);
  }
  return parts;
}

function update(pane, parts, message) {
  parts.node.className = ["message", message.from_bot ? "bot" : "mine", message.card ? "card" : "plain", message.state].join(" ");
  parts.node.dataset.state = message.state;
  text(parts.title, message.title);
  text(parts.state, message.state === "streaming" ? "generating" : "");
  text(parts.note, [message.state === "recalled" ? "recalled" : "", message.note].filter(Boolean).join(" · "));
  changed(parts, "html", message.html, () => {
    const before = parts.body.typing ? parts.body.typing.shown : parts.body.textContent.length;
    renderBody(parts.body, message.html);
    if (message.card && pane.seen && !STILL) typeOut(parts.body, before);
  });
  changed(parts, "buttons", JSON.stringify(message.buttons), () => {
    parts.actions.hidden = message.buttons.length === 0;
    parts.actions.replaceChildren(buttonRow(pane, message, parts));
  });
}

function changed(parts, name, value, redraw) {
  if (parts.drawn[name] === value) return;
  parts.drawn[name] = value;
  redraw();
}

function text(node, value) {
  node.hidden = !value;
  if (node.textContent !== value) node.textContent = value;
}

function renderBody(body, html) {
  body.hidden = !html;
  body.innerHTML = html; // made by the simulated platform: raw HTML is escaped there
  for (const anchor of body.querySelectorAll("a")) {
    if (!/^https?:/i.test(anchor.getAttribute("href") || "")) anchor.removeAttribute("href");
    anchor.rel = "noopener noreferrer";
    anchor.target = "_blank";
  }
}

// Both platforms' clients type a card's text out; so does this page, from where it had come to.
function typeOut(body, from) {
  const nodes = [];
  const walker = document.createTreeWalker(body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) nodes.push([walker.currentNode, walker.currentNode.data]);
  const total = nodes.reduce((sum, [, whole]) => sum + whole.length, 0);
  const typing = { shown: Math.min(from + 4 * TYPED_PER_FRAME, total) };
  body.typing = typing;
  const step = () => {
    if (body.typing !== typing) return; // newer text has come
    typing.shown += TYPED_PER_FRAME;
    let left = typing.shown;
    for (const [node, whole] of nodes) {
      node.data = whole.slice(0, Math.max(0, left));
      left -= whole.length;
    }
    if (typing.shown < total) requestAnimationFrame(step); else body.typing = null;
  };
  step();
}

function buttonRow(pane, message, parts) {
  const row = element("div", "buttons");
  for (const button of message.buttons) {
    const node = element("button", button.style, button.label);
    node.type = "button";
    node.dataset.button = button.id;
    node.addEventListener("click", async () => {
      node.disabled = true;
      const done = await post("/playground/press", { platform: pane.name, message: message.id, button: button.id, user: pane.person.value });
      node.disabled = false;
      text(parts.toast, toastOf(done));
    });
    row.append(node);
  }
  return row;
}

function toastOf(done) {
  if (!done) return "the page lost its connection";
  try {
    const toast = JSON.parse(done.answer).toast;
    if (toast && toast.content) return toast.content;
  } catch { /* not every answer is JSON with a toast */ }
  return done.status === 200 ? "✓" : `the service answered ${done.status || "nothing"}`;
}

async function say(pane) {
  const text = pane.text.value.trim();
  const chat = currentChat(pane);
  if (!text || text === "@bot" || !chat) return;
  prompt(pane);
  pane.text.focus();
  await post("/playground/say", { platform: pane.name, chat: chat.id, user: pane.person.value, text });
}

async function post(path, body) {
  try {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

function addExchange(exchange) {
  const list = document.getElementById("exchanges");
  const toService = exchange.direction === "to_service";
  const details = element("details", exchange.platform);
  const summary = element("summary");
  summary.append(
    element("span", "arrow", toService ? "→" : "←"),
    element("span", "path", `${exchange.method} ${exchange.path}`),
    element("span", exchange.status >= 400 || exchange.status === 0 ? "status bad" : "status", String(exchange.status)),
    element("span", "took", `${exchange.took_ms} ms`),
  );
  summary.title = toService ? `${exchange.platform} pushes to the service` : `the service calls ${exchange.platform}`;
  details.append(summary);
  // Bodies are laid out when they are looked at.
  details.addEventListener("toggle", () => {
    if (!details.open || details.childElementCount > 1) return;
    const headers = exchange.headers.map(([name, value]) => `${name}: ${value}`).join("\n");
    details.append(element("pre", "", [headers, pretty(exchange.request_body)].filter(Boolean).join("\n\n")));
    details.append(element("pre", "", pretty(exchange.response_body)));
  });
  const item = element("li");
  item.append(details);
  list.append(item);
  while (list.childElementCount > KEEP_EXCHANGES) list.firstElementChild.remove();
  if (document.getElementById("follow").checked) list.scrollTop = list.scrollHeight;
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

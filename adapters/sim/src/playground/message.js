// One message of a chat: text, card, folded parts, forms and buttons, drawn so that it can change while it is used.

const TYPED_PER_FRAME = 3;
const STILL = matchMedia("(prefers-reduced-motion: reduce)").matches;
const PARTS = ["quoted", "title", "panels", "body", "state", "note", "forms", "actions", "toast"];

// A message's parts stay the same nodes while its text grows, so that a button can be pressed meanwhile.
export function makeMessage(message) {
  const parts = { node: element("article"), bubble: element("div", "bubble"), tools: element("div", "tools"), drawn: {} };
  parts.node.dataset.id = message.id;
  parts.node.dataset.from = message.from_bot ? "bot" : message.sender_id;
  parts.node.append(element("div", "who", message.sender), parts.bubble, parts.tools);
  for (const name of PARTS) {
    parts[name] = element("div", name === "title" ? "card-title" : name);
    parts[name].hidden = true;
    parts.bubble.append(parts[name]);
  }
  parts.toast.setAttribute("role", "status");
  return parts;
}

export function updateMessage(pane, parts, message, chat) {
  const own = !message.from_bot && message.sender_id === pane.person.value;
  const side = message.from_bot ? "bot" : own ? "mine" : "theirs";
  parts.node.className = ["message", side, message.card ? "card" : "plain", message.state].join(" ");
  parts.node.dataset.state = message.state;
  if (message.thread) parts.node.dataset.thread = message.thread;
  text(parts.title, message.title);
  text(parts.quoted, quotedText(message, chat));
  text(parts.state, message.state === "streaming" ? "generating" : "");
  text(parts.note, [message.state === "recalled" ? "recalled 已撤回" : "", message.note].filter(Boolean).join(" · "));
  changed(parts, "html", message.html, () => {
    const before = parts.body.typing ? parts.body.typing.shown : parts.body.textContent.length;
    renderHtml(parts.body, message.html);
    if (message.card && pane.seen && !STILL) typeOut(parts.body, before);
  });
  changed(parts, "panels", JSON.stringify(message.panels), () => drawPanels(parts.panels, message.panels));
  const loose = message.buttons.filter((button) => button.form === null);
  changed(parts, "buttons", JSON.stringify(loose), () => {
    parts.actions.hidden = loose.length === 0;
    parts.actions.replaceChildren(buttonRow(pane, message, loose, parts));
  });
  const inForms = message.buttons.filter((button) => button.form !== null);
  changed(parts, "forms", JSON.stringify([message.forms, inForms]), () => {
    parts.forms.hidden = message.forms.length === 0;
    parts.forms.replaceChildren(...message.forms.map((form) => formNode(pane, message, form, parts)));
  });
  changed(parts, "tools", JSON.stringify([own, message.state, message.thread]), () => drawTools(pane, parts, message, own));
}

function quotedText(message, chat) {
  const mark = message.thread ? "# topic 话题 " : "";
  if (!message.reply_to) return mark.trim();
  const quoted = chat.messages.find((other) => other.id === message.reply_to);
  return `${mark}↩ ${quoted ? `${quoted.sender}: ${(quoted.title || quoted.markdown).slice(0, 80)}` : "…"}`;
}

function drawTools(pane, parts, message, own) {
  const tool = (act, label, does) => {
    const node = element("button", "quiet", label);
    node.type = "button";
    node.dataset.act = act;
    node.addEventListener("click", does);
    return node;
  };
  const tools = [];
  if (message.state !== "recalled") {
    tools.push(tool("quote", "Quote 引用", () => pane.cite(message, false)));
    if (pane.view.abilities.topics) tools.push(tool("topic", "Topic 话题", () => pane.cite(message, true)));
    if (own) tools.push(tool("recall", "Recall 撤回", () => pane.recall(message)));
  }
  parts.tools.replaceChildren(...tools);
}

// A panel that was opened stays open while its text grows.
function drawPanels(holder, panels) {
  holder.hidden = panels.length === 0;
  while (holder.childElementCount > panels.length) holder.lastElementChild.remove();
  panels.forEach((panel, number) => {
    let node = holder.children[number];
    if (!node) {
      node = element("details", "panel");
      node.dataset.panel = number;
      node.open = panel.expanded;
      node.append(element("summary"), element("div", "panel-body"));
      holder.append(node);
    }
    node.firstElementChild.textContent = panel.title;
    renderHtml(node.lastElementChild, panel.html);
  });
}

function buttonRow(pane, message, buttons, parts) {
  const row = element("div", "buttons");
  row.append(...buttons.map((button) => buttonNode(pane, message, button, parts)));
  return row;
}

function buttonNode(pane, message, button, parts) {
  const node = element("button", button.wide ? `${button.style} wide` : button.style, button.label);
  node.type = button.role === "submit" ? "submit" : button.role === "reset" ? "reset" : "button";
  node.disabled = button.disabled;
  node.dataset.button = button.id;
  node.dataset.role = button.role;
  if (button.role === "plain") node.addEventListener("click", () => press(pane, message, button, parts, node));
  return node;
}

async function press(pane, message, button, parts, node, values) {
  node.disabled = true;
  const done = await pane.press(message, button, values);
  node.disabled = false;
  text(parts.toast, toastOf(done));
}

function formNode(pane, message, form, parts) {
  const node = element("form", "card-form");
  node.dataset.form = form.name;
  const says = element("div", "form-text");
  renderHtml(says, form.html);
  node.append(says, ...form.fields.map(fieldNode));
  const row = element("div", "form-buttons");
  const own = message.buttons.filter((button) => button.form === form.name);
  row.append(...own.map((button) => buttonNode(pane, message, button, parts)));
  node.append(row);
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    const submitter = event.submitter || row.querySelector('[data-role="submit"]');
    const button = own.find((one) => one.id === submitter?.dataset.button);
    if (button) press(pane, message, button, parts, submitter, valuesOf(node, form));
  });
  return node;
}

function fieldNode(field) {
  const label = element("label", "field", field.kind === "check" ? "" : field.label);
  const input = inputOf(field);
  input.dataset.field = field.name;
  input.required = field.required && field.kind !== "check";
  if (!field.label) input.setAttribute("aria-label", field.placeholder || field.name);
  label.append(input);
  if (field.kind === "check") label.append(element("span", "", field.label));
  return label;
}

function inputOf(field) {
  if (field.kind === "choice" || field.kind === "choices") {
    const select = element("select");
    select.multiple = field.kind === "choices";
    if (field.kind === "choice") select.append(new Option(field.placeholder || "—", ""));
    const initial = [].concat(field.initial ?? []);
    for (const [value, label] of field.options) select.append(new Option(label, value, initial.includes(value), initial.includes(value)));
    return select;
  }
  const input = element(field.kind === "long_text" ? "textarea" : "input");
  if (field.kind === "check") {
    input.type = "checkbox";
    input.defaultChecked = field.initial === true;
    return input;
  }
  if (field.max_length) input.maxLength = field.max_length;
  input.placeholder = field.placeholder;
  input.defaultValue = field.initial ?? "";
  return input;
}

// An untouched choice has no value.
function valuesOf(node, form) {
  const values = {};
  for (const field of form.fields) {
    const input = [...node.querySelectorAll("[data-field]")].find((one) => one.dataset.field === field.name);
    if (field.kind === "check") values[field.name] = input.checked;
    else if (field.kind === "choices") values[field.name] = [...input.selectedOptions].map((option) => option.value);
    else if (input.value || field.kind === "text" || field.kind === "long_text") values[field.name] = input.value;
  }
  return values;
}

function toastOf(done) {
  if (!done) return "the page lost its connection";
  try {
    const toast = JSON.parse(done.answer).toast;
    if (toast && toast.content) return toast.content;
  } catch { /* not every answer is JSON with a toast */ }
  return done.status === 200 ? "✓" : `the service answered ${done.status || "nothing"}`;
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

function renderHtml(node, html) {
  node.hidden = !html;
  node.innerHTML = html; // made by the simulated platform: raw HTML is escaped there
  for (const anchor of node.querySelectorAll("a")) {
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

export function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

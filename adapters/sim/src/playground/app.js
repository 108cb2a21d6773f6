// The playground page: chats of the simulated platforms, what a person does there, and what goes over the wire.
import { element, makeMessage, updateMessage } from "/playground/message.js";

const TITLES = { dingtalk: "DingTalk 钉钉", feishu: "Feishu 飞书" };
const KEEP_EXCHANGES = 300;
const MENU_KEY = "help";
const panes = {};

for (const name of Object.keys(TITLES)) panes[name] = makePane(name);
follow();

document.getElementById("clear").addEventListener("click", () => document.getElementById("exchanges").replaceChildren());

function makePane(name) {
  const root = document.getElementById(name);
  root.append(document.getElementById("platform-template").content.cloneNode(true));
  const control = (which) => root.querySelector(`[data-control="${which}"]`);
  const act = (which) => root.querySelector(`[data-act="${which}"]`);
  const pane = {
    name, root, act,
    chat: control("chat"), person: control("person"), text: control("text"),
    mention: control("mention"), file: control("file"), kind: control("attach-kind"),
    messages: root.querySelector(".messages"), notice: root.querySelector("[data-notice]"),
    draft: root.querySelector("[data-draft]"), draftText: root.querySelector("[data-draft-text]"),
    quote: null, // { message, topic }
    drawn: new Map(), view: null, seen: false,
  };
  root.querySelector("h2").textContent = TITLES[name];
  pane.chat.addEventListener("change", () => enterChat(pane));
  pane.person.addEventListener("change", () => draw(pane));
  pane.file.addEventListener("change", () => drawDraft(pane));
  root.querySelector(".composer").addEventListener("submit", (event) => { event.preventDefault(); say(pane); });
  act("drop-draft").addEventListener("click", () => { dropDraft(pane); pane.text.focus(); });
  act("open-direct").addEventListener("click", () => openDirect(pane));
  act("menu").addEventListener("click", () => report(pane, "/playground/menu", { key: MENU_KEY }));
  act("new-group").addEventListener("click", () => newGroup(pane));
  act("bot-membership").addEventListener("click", () => {
    const chat = currentChat(pane);
    report(pane, "/playground/bot", { chat: chat.id, inside: !chat.bot_inside });
  });
  // What a message's own buttons ask for.
  pane.press = (message, button, values) => post(pane, "/playground/press", { message: message.id, button: button.id, values });
  pane.recall = (message) => report(pane, "/playground/recall", { message: message.id });
  pane.cite = (message, topic) => { pane.quote = { message, topic }; drawDraft(pane); pane.text.focus(); };
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
  pane.view = view;
  fill(pane.chat, view.chats.map((chat) => [chat.id, chat.direct ? `${chat.title || chat.id} · direct 单聊` : chat.title || chat.id]));
  if (pane.wanted && view.chats.some((chat) => chat.id === pane.wanted)) {
    pane.chat.value = pane.wanted;
    pane.wanted = null;
    enterChat(pane);
  }
  pane.act("open-direct").hidden = !view.abilities.open_direct;
  pane.act("menu").hidden = !view.abilities.menu;
  draw(pane);
  pane.seen = true; // what was there before the page is not typed out again
}

// Keeps the choice while the list changes.
function fill(select, entries) {
  const shown = JSON.stringify(entries);
  if (select.dataset.shown === shown) return;
  select.dataset.shown = shown;
  const chosen = select.value;
  select.replaceChildren(...entries.map(([value, label]) => new Option(label, value)));
  if (entries.some(([value]) => value === chosen)) select.value = chosen;
}

function currentChat(pane) {
  return pane.view.chats.find((chat) => chat.id === pane.chat.value) || pane.view.chats[0];
}

function enterChat(pane) {
  pane.drawn.clear();
  pane.messages.replaceChildren();
  dropDraft(pane);
  draw(pane);
}

function draw(pane) {
  const chat = pane.view && currentChat(pane);
  if (!chat) return;
  fill(pane.person, pane.view.people.filter(([id]) => chat.members.includes(id)));
  pane.mention.parentElement.hidden = chat.direct;
  const membership = pane.act("bot-membership");
  membership.hidden = chat.direct;
  membership.dataset.inside = chat.bot_inside;
  membership.textContent = chat.bot_inside ? "Remove bot 移除机器人" : "Add bot 添加机器人";
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
    updateMessage(pane, known, message, chat);
  }
  if (atEnd) pane.messages.scrollTop = pane.messages.scrollHeight;
}

// What goes along with the next message, above the composer.
function drawDraft(pane) {
  const parts = [];
  if (pane.quote) {
    const { message, topic } = pane.quote;
    parts.push(`${topic ? "topic 话题" : "quote 引用"}: ${message.sender} “${message.title || message.markdown.slice(0, 60)}”`);
  }
  if (pane.file.files.length > 0) parts.push(`attachment 附件: ${pane.file.files[0].name}`);
  pane.draft.hidden = parts.length === 0;
  pane.draftText.textContent = parts.join(" · ");
}

function dropDraft(pane) {
  pane.quote = null;
  pane.file.value = "";
  pane.kind.value = "";
  drawDraft(pane);
}

async function say(pane) {
  const chat = currentChat(pane);
  const text = pane.text.value.trim();
  const file = pane.file.files[0];
  if (!chat || (!file && (!text || text === "@bot"))) return;
  const said = {
    chat: chat.id, text, mention: pane.mention.checked && !chat.direct,
    quote: pane.quote?.message.id, topic: pane.quote?.topic || false,
    attachment: file ? { kind: kindOf(file, pane.kind.value), name: file.name, data: await base64(file) } : undefined,
  };
  pane.text.value = "";
  dropDraft(pane);
  pane.text.focus();
  await report(pane, "/playground/say", said);
}

function kindOf(file, chosen) {
  if (chosen) return chosen;
  if (file.type.startsWith("image/")) return "image";
  return file.type.startsWith("audio/") ? "voice" : "file";
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}

async function openDirect(pane) {
  const direct = pane.view.chats.find((chat) => chat.direct && chat.members.includes(pane.person.value));
  await report(pane, "/playground/open", {});
  if (!direct) return;
  pane.chat.value = direct.id;
  enterChat(pane);
}

// Without the bot: adding it is an act of its own.
async function newGroup(pane) {
  const groups = pane.view.chats.filter((chat) => !chat.direct).length;
  const members = pane.view.people.map(([id]) => id);
  const made = await post(pane, "/playground/group", { title: `Group 群 ${groups + 1}`, members });
  if (!made) return;
  pane.wanted = made.id;
  show(pane.view);
}

// Does it, and says so if the service did not take it.
async function report(pane, path, body) {
  const done = await post(pane, path, body);
  let notice = "";
  if (!done) notice = "failed 失败";
  else if (done.status !== 0 && done.status !== 200) notice = `the service answered ${done.status}`;
  pane.notice.textContent = notice;
}

async function post(pane, path, body) {
  try {
    const whole = JSON.stringify({ platform: pane.name, user: pane.person.value, ...body });
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: whole });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

function addExchange(exchange) {
  const list = document.getElementById("exchanges");
  const toService = exchange.direction === "to_service";
  const details = element("details", exchange.platform);
  details.dataset.exchange = exchange.number;
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

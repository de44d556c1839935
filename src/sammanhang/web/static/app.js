// The shell's keyboard and command bar. Every page works without it; with it nothing needs the mouse.
"use strict";
(() => {
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const command = $("#command"), input = $("#command-q"), help = $("#help");
  const keysOn = () => document.body.dataset.keys !== "off";
  const say = (text) => { const said = $("#said"); if (said) said.textContent = text; };

  // Command bar: a combobox; the arrows move among the hits, Enter goes to one.
  const options = () => $$('[role="option"]:not([aria-disabled])', command);
  const mark = (option) => {
    for (const other of options()) other.setAttribute("aria-selected", String(other === option));
    if (option) { input.setAttribute("aria-activedescendant", option.id); option.scrollIntoView({ block: "nearest" }); }
    else input.removeAttribute("aria-activedescendant");
  };
  const openCommand = () => {
    if (!command || command.open) return;
    input.value = "";
    command.showModal();
    input.focus();
    if (window.htmx) window.htmx.trigger(input, "open");
  };
  if (command) {
    input.addEventListener("keydown", (event) => {
      const all = options(), at = all.findIndex((o) => o.getAttribute("aria-selected") === "true");
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (all.length) mark(all[(at + (event.key === "ArrowDown" ? 1 : all.length - 1) + (at < 0 && event.key === "ArrowUp" ? 1 : 0)) % all.length]);
      } else if (event.key === "Enter") {
        event.preventDefault();
        // What is on the list answers an earlier text until the answer to this one has come.
        if (input.dataset.for !== input.value) { input.dataset.go = "1"; return; }
        (all[at] || all[0])?.click();
      }
    });
    document.addEventListener("htmx:afterSwap", (event) => {
      if (event.target.id !== "command-list") return;
      input.dataset.for = event.detail.requestConfig.parameters.q ?? "";
      mark(options()[0]);
      if (input.dataset.go && input.dataset.for === input.value) { delete input.dataset.go; options()[0]?.click(); }
    });
    input.addEventListener("input", () => { delete input.dataset.go; });
    command.addEventListener("click", (event) => { if (event.target === command) command.close(); });
    for (const link of $$("[data-command]")) link.addEventListener("click", (event) => { event.preventDefault(); openCommand(); });
  }

  // On a narrow screen the tabs scroll: the one that is open is in sight.
  const tab = $(".tabs [aria-current]");
  if (tab) tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.clientWidth / 2;

  // Help, menu, copying
  const openHelp = () => { if (help && !help.open) { $("[data-menu]")?.removeAttribute("open"); help.showModal(); } };
  document.addEventListener("click", (event) => {
    const menu = $("[data-menu][open]");
    if (menu && !menu.contains(event.target)) menu.removeAttribute("open");
    if (event.target.closest("[data-help]")) openHelp();
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
    if (event.target.closest("[data-print]")) window.print();
    const copy = event.target.closest("[data-copy]");
    if (copy) copyNumber(copy);
  });
  const copyNumber = async (button) => {
    try { await navigator.clipboard.writeText(button.dataset.copy); } catch { return; }
    const before = button.textContent;
    button.textContent = button.dataset.done;
    say(button.dataset.done);
    setTimeout(() => { button.textContent = before; }, 1500);
  };

  // Lists: j and k move a mark, Enter opens what is marked.
  const items = () => $$("[data-list] [data-item]");
  const move = (step) => {
    const all = items();
    if (!all.length) return;
    const at = all.findIndex((item) => item.classList.contains("on"));
    const next = all[Math.max(0, Math.min(all.length - 1, at + step))];
    for (const item of all) item.classList.toggle("on", item === next);
    next.scrollIntoView({ block: "nearest" });
    ($("[data-open]", next) || $("a", next))?.focus({ preventScroll: true });
  };
  const typing = (target) => target.closest("input, textarea, select, [contenteditable]");
  let went = 0;
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); openCommand(); return; }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.defaultPrevented) {
      const main = $("[data-main]", event.target.closest("form") || document) || $("[data-main]");
      if (main) { event.preventDefault(); main.form.requestSubmit(main); }
      return;
    }
    if (event.key === "Escape") { $("[data-menu][open]")?.removeAttribute("open"); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || $("dialog[open]") || !keysOn()) return;
    const key = event.key.toLowerCase();
    if (went && Date.now() - went < 1200) {
      const places = { s: "/", a: $('nav.main a[href="/work"]')?.href, p: "/patients", v: $('nav.main a[href="/requests"]')?.href, u: $('.menu a[href^="/login/assignment"]')?.href };
      if (places[key]) { location.href = places[key]; return; }
      if (key === "l") { event.preventDefault(); went = 0; document.dispatchEvent(new Event("sammanhang:lock")); return; }
    }
    went = key === "g" ? Date.now() : 0;
    if (key === "/") { event.preventDefault(); openCommand(); }
    else if (event.key === "?") openHelp();
    else if (key === "j") move(1);
    else if (key === "k") move(-1);
    else if (key === "c") $("[data-copy]")?.click();
    else if (key >= "1" && key <= "9") $(`[data-tab="${key}"]`)?.click();
    else if (/^[a-zåäö]$/.test(key)) $(`[data-write="${key}"]`)?.click();
  });
})();

// Keys of a worklist, choosing several rows, and searching in the rows. The forms work without it.
"use strict";
(() => {
  const $ = (s, e = document) => e.querySelector(s), $$ = (s, e = document) => [...e.querySelectorAll(s)];
  const several = $("[data-several]"), find = $("[data-find]"), form = $("#tasks");
  const ticks = () => $$('input[name="task"]:checked', form || document);
  const chosen = () => {
    if (!several) return;
    const n = ticks().length;
    several.hidden = !n;
    $("[data-chosen]").textContent = n || "";
    for (const tick of $$('#tasks input[name="task"]')) tick.closest("[data-item]").classList.toggle("chosen", tick.checked);
  };
  const matches = () => {
    const wanted = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of $$("[data-item]", form)) { const text = row.textContent.toLowerCase(); row.hidden = !wanted.every((w) => text.includes(w)); }
  };
  if (form) {
    form.addEventListener("change", chosen);
    new MutationObserver(() => { chosen(); if (find?.value) matches(); }).observe($("[data-body]", form), { childList: true });
    chosen();
  }
  if (find) {
    find.closest("label").hidden = false;
    find.addEventListener("input", matches);
    find.addEventListener("keydown", (event) => { if (event.key === "Escape") { find.value = ""; matches(); find.blur(); } });
  }
  const kind = $("[data-kind] select");
  if (kind) {
    $("[data-kind] button").hidden = true;
    kind.addEventListener("change", () => kind.form.requestSubmit());
  }
  document.addEventListener("keydown", (event) => {
    if (document.body.dataset.keys === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest('input:not([type="checkbox"]), textarea, select');
    if (typing || $("dialog[open]")) return;
    const key = event.key.toLowerCase(), row = $("[data-item].on"), on = row || document.activeElement?.closest?.("[data-item]");
    const button = (name) => on ? $(`[data-${name}]`, on) : form ? null : $(`main [data-${name}]`);
    if (key === "t" && ticks().length) $('[data-several] [value="take"]')?.click();
    else if (key === "t") button("take")?.click();
    else if (key === "e") (button("done") || button("go"))?.click();
    else if (key === "x" && on) { const tick = $('input[name="task"]:not([disabled])', on); if (tick) { tick.checked = !tick.checked; chosen(); } }
    else if (key === "o" && ticks().length) $('[data-several] [value="hand-over"]')?.click();
    else if (key === "n") $("[data-news]:not([hidden])")?.click();
    else if (key === "z") $("[data-undo]")?.click();
    else return;
    event.preventDefault();
  });
})();

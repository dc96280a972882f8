/* What the pages do by script. Without it they read the same: folds open, figures are links. */
(() => {
  "use strict";
  const KEY = "course-code";
  const remembered = () => {
    try { return localStorage.getItem(KEY) === "folded"; } catch { return false; }
  };
  const remember = folded => {
    try { folded ? localStorage.setItem(KEY, "folded") : localStorage.removeItem(KEY); } catch {}
  };
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  /* The style sheet hides the code until the folds are there to be closed: no page jumps. */
  if (remembered()) document.documentElement.dataset.code = "folded";

  function setUpCode() {
    const button = document.querySelector(".code-switch button");
    if (!button) return;
    const folds = all("details.code-fold");
    const opened = new Map(folds.map(fold => [fold, fold.open]));
    const show = folded => {
      button.setAttribute("aria-pressed", folded);
      for (const fold of folds) fold.open = !folded && opened.get(fold);
    };
    if (remembered()) show(true);
    delete document.documentElement.dataset.code;
    button.parentElement.hidden = false;
    button.addEventListener("click", () => {
      const folded = button.getAttribute("aria-pressed") !== "true";
      const top = button.getBoundingClientRect().top;
      show(folded);
      remember(folded);
      scrollBy(0, button.getBoundingClientRect().top - top);
    });
  }

  /* Paper cannot be opened: it gets everything, but for code that the reader folded away. */
  function setUpPrint() {
    let closed = [];
    addEventListener("beforeprint", () => {
      const without = document.querySelector(".code-switch button[aria-pressed=true]");
      const which = without ? "details:not([open], .code-fold)" : "details:not([open])";
      closed = all(which);
      for (const fold of closed) fold.open = true;
    });
    addEventListener("afterprint", () => {
      for (const fold of closed) fold.open = false;
      closed = [];
    });
  }

  /* A figure in its own size, above the page; a click elsewhere or Escape closes it. */
  function enlarge(link) {
    const picture = link.querySelector("img");
    const dialog = document.createElement("dialog");
    dialog.className = "enlarged";
    dialog.setAttribute("aria-label", "Figure, enlarged");
    const close = document.createElement("button");
    close.type = "button";
    close.textContent = "Close";
    const pane = document.createElement("div");
    pane.tabIndex = 0;
    const large = new Image();
    large.src = link.href;
    large.alt = picture.alt;
    pane.append(large);
    dialog.append(close, pane);
    document.body.append(dialog);
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", event => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      link.focus();
    });
    dialog.showModal();
  }

  function setUpFigures() {
    document.addEventListener("click", event => {
      const link = event.target.closest?.("a.enlarge");
      const plain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
      if (!link || !plain || event.button !== 0) return;
      event.preventDefault();
      enlarge(link);
    });
  }

  /* On a phone each cell of a table of long texts is named by the head of its column. */
  function setUpTables() {
    for (const table of all("table.stacked")) {
      const heads = all("thead th", table).map(head => head.textContent.trim());
      for (const row of all("tbody tr", table))
        [...row.cells].forEach((cell, i) => { if (i) cell.dataset.head = heads[i] ?? ""; });
    }
  }

  /* What scrolls by itself can be reached by the keyboard, and only that. */
  function setUpScrolling() {
    const boxes = ".math, mjx-container, .pst-scrollable-table-container, .bd-article pre, " +
      ".bd-article dl.field-list > dd, .output.text_html";
    const look = () => {
      const long = all("span.math > mjx-container").map(formula => [formula.parentElement,
        formula.offsetWidth > formula.closest("p, li, td, dd, dt, figcaption, section").clientWidth]);
      for (const [formula, is] of long) formula.classList.toggle("long", is);
      const found = all(boxes).map(box => [box, box.scrollWidth > box.clientWidth + 1
        && /auto|scroll/.test(getComputedStyle(box).overflowX)]);
      for (const [box, scrolls] of found) {
        if (scrolls) box.tabIndex = 0;
        else if (box.getAttribute("tabindex") === "0") box.removeAttribute("tabindex");
      }
    };
    let waiting = 0;
    const soon = () => {
      clearTimeout(waiting);
      waiting = setTimeout(look, 20);
    };
    addEventListener("resize", soon);
    document.addEventListener("toggle", soon, true);
    addEventListener("load", async () => {
      await window.MathJax?.startup?.promise;
      soon();
      await document.fonts.ready; // with its own letters a formula has another width
      soon();
    });
    soon();
  }

  document.addEventListener("DOMContentLoaded", () => {
    setUpCode();
    setUpPrint();
    setUpFigures();
    setUpTables();
    setUpScrolling();
  });
})();

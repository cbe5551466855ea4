// Looks again every few seconds, where somebody looks and has not asked it to stop. Without scripts there is a link for that.
(() => {
  const bar = document.getElementById("live");
  if (!bar) return;
  const seconds = 5;
  let paused = sessionStorage.getItem("paused") === "yes";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link";
  const says = () => { button.textContent = paused ? "Look again every " + seconds + " s" : "Stop looking again every " + seconds + " s"; };
  button.addEventListener("click", () => {
    paused = !paused;
    sessionStorage.setItem("paused", paused ? "yes" : "no");
    says();
  });
  says();
  bar.replaceChildren(button);
  const busy = () => {
    const at = document.activeElement;
    return at && at.closest("form, summary, .scroll") && at.closest("main");
  };
  const look = async () => {
    if (paused || document.hidden || busy() || String(getSelection())) return;
    const answer = await fetch(location.href, { headers: { "X-Crossfade-Looks-Again": "1" }, redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.status === 401) { location.reload(); return; }
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const now = document.querySelector("main"), next = page.querySelector("main");
    if (!next || busy()) return;
    const at = document.activeElement, href = at && now.contains(at) && at.getAttribute("href");
    const open = [...now.querySelectorAll("details")].map((each) => each.open);
    now.replaceChildren(...next.childNodes);
    now.querySelectorAll("details").forEach((each, i) => { each.open = open[i] ?? each.open; });
    if (href) now.querySelector('a[href="' + CSS.escape(href) + '"]')?.focus();
  };
  setInterval(() => { look().catch(() => {}); }, seconds * 1000);
})();

// An operator before the page, in a browser: an advance, a refusal and a rollback without scripts, then every page by axe
// for WCAG AA, light and dark, wide and narrow. Prints what was seen; with a directory it leaves pictures there.
import { createRequire } from "node:module";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const require = createRequire(process.env.DRIVER_ROOT);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [what, url, user, password, pictures] = process.argv.slice(2);
const known = [process.env.CROSSFADE_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = known.find((path) => path && existsSync(path));
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });

async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("pageerror", (error) => console.log("error:", error.message));
  // A form that is refused is answered with 409.
  page.on("console", (message) => message.type() === "error" && !message.text().includes("409") && console.log("console:", message.text()));
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) console.log("asks elsewhere:", request.url());
  });
  await page.goto(url);
  await page.getByLabel("User").fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL(url + "/");
  return page;
}

// Until the page says so, asking for it again as somebody without scripts does.
async function until(page, text) {
  while (!(await page.getByText(text).first().isVisible())) await page.reload();
  console.log("says:", text);
}

// What a form leads to is there before anybody looks at it.
async function sends(page, how) {
  const loaded = page.waitForEvent("load");
  await how();
  await loaded;
}

async function step(page, link, name, reason) {
  await page.getByRole("link", { name: link }).click();
  await page.getByLabel("to confirm").fill(name);
  await page.getByLabel("Why").fill(reason);
  await sends(page, () => page.getByLabel("Why").press("Enter"));
}

async function operate() {
  const page = await open({ javaScriptEnabled: false });
  await page.getByRole("link", { name: "iso_agents" }).click();
  await step(page, "Advance to dual_write…", "iso_agent", "slip");
  await until(page, "is not iso_agents. Nothing was done.");
  await page.getByLabel("to confirm").fill("iso_agents");
  await sends(page, () => page.getByRole("button", { name: "Advance to dual_write" }).click());
  await until(page, "advance legacy_only → dual_write: refused.");
  await until(page, "NOT met");
  console.log("grant"); // whoever reads this does so
  await new Promise((resolve) => process.stdin.once("data", resolve));
  await step(page, "Advance to dual_write…", "iso_agents", "agreed");
  await until(page, "advance legacy_only → dual_write: done.");
  await step(page, "Roll back to legacy_only…", "iso_agents", "once more");
  await until(page, "rollback dual_write → legacy_only: done.");
  await sends(page, () => page.getByRole("button", { name: "Log out" }).click());
  await page.getByRole("button", { name: "Log in" }).waitFor();
  console.log("is out");
}

// With scripts the page looks again by itself, keeps the keyboard's place, and stops when it is asked to.
async function live() {
  const page = await open({});
  await page.getByRole("link", { name: "iso_agents" }).click();
  const link = page.getByRole("link", { name: /^Advance to/ });
  await link.focus();
  await page.waitForResponse((answer) => answer.request().resourceType() === "fetch" && answer.ok());
  await page.waitForResponse((answer) => answer.request().resourceType() === "fetch" && answer.ok());
  const at = await page.evaluate(() => document.activeElement.getAttribute("href"));
  console.log("keeps its place:", at);
  await page.getByRole("button", { name: /^Stop looking/ }).click();
  console.log("may be stopped:", await page.getByRole("button", { name: /^Look again every/ }).isVisible());
}

const PAGES = [["/", "overview"], ["/migrations/iso_agents", "migration"], ["/migrations/iso_agents/advance", "confirm"],
  ["/proxies", "proxies"], ["/events", "events"]];

async function look() {
  for (const colorScheme of ["light", "dark"]) for (const width of [1200, 400]) {
    const page = await open({ colorScheme, viewport: { width, height: 900 } });
    for (const [path, name] of PAGES) {
      await page.goto(url + path);
      if (name === "migration") await page.getByText("Gates", { exact: true }).waitFor();
      await inspect(page, `${name}-${colorScheme}-${width}`);
    }
    await page.context().clearCookies();
    await page.goto(url);
    await inspect(page, `login-${colorScheme}-${width}`);
  }
}

async function inspect(page, name) {
  await page.evaluate(() => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
  await page.evaluate(axe);
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const found = await page.evaluate((values) => window.axe.run(document, { runOnly: { type: "tag", values } }), tags);
  for (const each of found.violations)
    for (const node of each.nodes) console.log("axe:", name, each.id, node.target.join(" "), node.failureSummary);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) console.log("too wide:", name, wide);
  console.log("looked at", name, "with", found.passes.length > 10 ? "many rules" : "few rules");
  if (pictures) await page.screenshot({ path: join(pictures, name + ".png"), fullPage: true });
}

try {
  await { operate, live, look }[what]();
} finally {
  await browser.close();
  // Nothing more is heard; else it would be waited for.
  process.stdin.destroy();
}

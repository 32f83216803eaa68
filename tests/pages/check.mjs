// Opens pages from their files in Chromium, narrow and wide, light and dark, and says what is wrong with them.
//
//     node tests/pages/check.mjs PAGE.html...
//
// axe-core's rules of WCAG 2.2 A and AA and its best practices; errors on the console; requests for anything but the page;
// what is wider than the window; labels of pictures that are cut off or written over each other. Exit code 1, and a line for
// each fault on standard output, if there is any. With PICTURES=FOLDER in the environment, pictures of the pages are left there.

import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const tools = createRequire(resolve("target/pages/package.json"));
const { chromium } = tools("playwright-core");
const axe = readFileSync(tools.resolve("axe-core/axe.min.js"), "utf8");

const pages = process.argv.slice(2);
const pictures = process.env.PICTURES;
if (pictures) mkdirSync(pictures, { recursive: true });

// In the page: what its pictures and its layout do that no rule of axe-core sees.
const layout = () => {
  const faults = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) {
    const wide = [...document.querySelectorAll("body *")].filter(
      (e) => e.getBoundingClientRect().right > root.clientWidth + 1 && !e.parentElement.closest(".scroll, pre, svg"),
    );
    const names = wide.slice(0, 3).map((e) => e.outerHTML.slice(0, 80));
    faults.push(`the page is ${root.scrollWidth} wide in a window of ${root.clientWidth}: ${names.join(" ")}`);
  }
  for (const svg of document.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    if (frame.width === 0) continue;
    const labels = [...svg.querySelectorAll("text")].filter((t) => t.getBoundingClientRect().width > 0);
    for (const label of labels) {
      const box = label.getBoundingClientRect();
      const out = Math.max(frame.left - box.left, box.right - frame.right, frame.top - box.top, box.bottom - frame.bottom);
      if (out > 1.5) faults.push(`the label “${label.textContent}” is cut off by ${out.toFixed(1)} px`);
    }
    // Turned labels lie in each other's boxes without touching.
    const flat = labels.filter((label) => !label.hasAttribute("transform")).map((label) => [label, label.getBoundingClientRect()]);
    for (const [i, [a, p]] of flat.entries()) {
      for (const [b, q] of flat.slice(i + 1)) {
        const [w, h] = [Math.min(p.right, q.right) - Math.max(p.left, q.left), Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top)];
        if (w > 1 && h > 4) faults.push(`the labels “${a.textContent}” and “${b.textContent}” overlap`);
      }
    }
  }
  return [...new Set(faults)].slice(0, 10);
};

// A browser that hangs is no reason for a test to.
setTimeout(() => {
  console.log("the browser has not answered for ten minutes");
  process.exit(1);
}, 600_000).unref();

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  // Chromium refuses its sandbox to the superuser.
  chromiumSandbox: process.getuid() !== 0,
});
let failed = false;
// Side by side: a page takes one core, and most of the time is axe-core's on the largest.
const look = async (path) => {
  const url = pathToFileURL(resolve(path)).href;
  const page = await browser.newPage();
  let faults = [];
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && faults.push(`console: ${m.text()}`));
  page.on("pageerror", (error) => faults.push(`script: ${error.message}`));
  page.on("request", (r) => r.url() !== url && faults.push(`asks for ${r.url().slice(0, 200)}`));
  await page.goto(url, { waitUntil: "load" });
  // Some of what is closed is looked at as well: the details of columns are alike, and axe-core takes seconds for thousands.
  await page
    .locator("details:not([open])")
    .evaluateAll((parts) => parts.forEach((part, i) => (part.open = i === 0 || i >= parts.length - 5)));
  const name = basename(path, ".html");
  const show = async (width, colorScheme) => {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 900 });
    return `${name}-${width}-${colorScheme}`;
  };
  const tell = (view) => {
    for (const fault of faults) console.log(`${view}: ${fault}`);
    failed ||= faults.length > 0;
    faults = [];
  };
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [400, 1280]) {
      const view = await show(width, colorScheme);
      faults.push(...(await page.evaluate(layout)));
      if (pictures) await page.screenshot({ path: join(pictures, `${view}.png`), fullPage: true });
      tell(view);
    }
  }
  // A picture is one thing with a name, whatever it is drawn of: thousands of shapes would only take axe-core's time.
  await page.evaluate(() => document.querySelectorAll("svg").forEach((svg) => svg.replaceChildren()));
  await page.evaluate(axe);
  // A rule looks at colours or at the width: two views see in all what four would.
  for (const [width, colorScheme] of [[400, "light"], [1280, "dark"]]) {
    const view = await show(width, colorScheme);
    const { violations } = await page.evaluate(() => axe.run());
    for (const { id, impact, help, nodes } of violations) {
      const where = nodes.slice(0, 2).map((node) => node.html.slice(0, 120));
      faults.push(`${impact} ${id}: ${help}, ${nodes.length} times: ${where.join("  ")}`);
    }
    tell(view);
  }
  await page.close();
};
await Promise.all(pages.map(look));
await browser.close();
process.exit(failed ? 1 : 0);

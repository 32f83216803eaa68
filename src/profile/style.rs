//! How the page of a profile looks, and the little that it can do: both stand in the page itself.

/// Colours for light and dark, and a layout that a phone can show.
pub(super) const STYLE: &str = r"
:root {
  color-scheme: light dark;
  --bg: #fcfcfb; --card: #ffffff; --fg: #1d2126; --soft: #5a636e; --line: #d9dde2; --code: #f0f2f4;
  --bar: #2f6fab; --pos: #1f6db3; --neg: #c2531b; --on: #ffffff; --warn: #9a4a00; --warn-bg: #fff4e5; --link: #0b5cad;
  --k0: #2f6fab; --k1: #d07a1e; --k2: #3f8f5f; --k3: #9a55a8; --k4: #b8434e; --k5: #6f7884;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #14171b; --card: #1c2026; --fg: #e6e9ec; --soft: #a3adb8; --line: #333a43; --code: #262c34;
    --bar: #5b9fdd; --pos: #5aa5ea; --neg: #e8854a; --on: #10141a; --warn: #ffbd73; --warn-bg: #2e2415; --link: #7db8f0;
    --k0: #5b9fdd; --k1: #e39a4d; --k2: #63b685; --k3: #c184cf; --k4: #e0737c; --k5: #98a2ad;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 3.5rem; }
body { margin: 0; background: var(--bg); color: var(--fg); font: 16px/1.5 system-ui, sans-serif; }
header, main, footer { max-width: 76rem; margin: 0 auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 1.2rem 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; display: inline; }
p { margin: .3rem 0 .7rem; max-width: 70ch; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .4rem .8rem; z-index: 3; }
nav { position: sticky; top: 0; z-index: 2; background: var(--bg); border-bottom: 1px solid var(--line); }
nav ul { max-width: 76rem; margin: 0 auto; padding: .5rem 1rem; list-style: none; display: flex; gap: 1.1rem; overflow-x: auto; white-space: nowrap; }
.soft { color: var(--soft); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .7rem; padding: 0; margin: 1rem 0; }
.facts div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
.facts dt { color: var(--soft); font-size: .85rem; }
.facts dd { margin: 0; font-size: 1.15rem; font-weight: 600; overflow-wrap: anywhere; }
.facts small { display: block; font-weight: 400; font-size: .8rem; color: var(--soft); }
ol.warnings { list-style: none; padding: 0; }
ol.warnings li { background: var(--warn-bg); border-left: 4px solid var(--warn); border-radius: .3rem; padding: .6rem .8rem; margin: 0 0 .7rem; }
ol.warnings strong { color: var(--warn); }
ol.warnings p { margin: .1rem 0 .4rem; overflow-wrap: anywhere; max-width: none; }
.line { display: flex; gap: .5rem; align-items: flex-start; }
code, pre { font: .875rem/1.5 ui-monospace, monospace; background: var(--code); border-radius: .3rem; }
code { padding: .1rem .35rem; overflow-wrap: anywhere; }
pre { padding: .6rem .8rem; overflow-x: auto; margin: .4rem 0; }
button { font: inherit; font-size: .85rem; color: var(--fg); background: var(--card); border: 1px solid var(--line); border-radius: .3rem; padding: .1rem .6rem; cursor: pointer; }
input[type=search] { font: inherit; color: var(--fg); background: var(--card); border: 1px solid var(--soft); border-radius: .3rem; padding: .25rem .6rem; width: min(100%, 20rem); margin-bottom: .6rem; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); }
.long { max-height: 34rem; overflow-y: auto; }
table { border-collapse: collapse; font-size: .9rem; }
.scroll > table { width: 100%; }
th, td { text-align: left; padding: .3rem .7rem; border-bottom: 1px solid var(--line); vertical-align: middle; }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap; position: sticky; top: 0; background: var(--card); z-index: 1; }
tbody tr:last-child > * { border-bottom: 0; }
tbody th { font-weight: 600; min-width: 8.5rem; max-width: 18rem; overflow-wrap: anywhere; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.name { white-space: nowrap; }
td.values { min-width: 9rem; max-width: 22rem; overflow-wrap: anywhere; }
details.column { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; margin: 0 0 .7rem; }
details.column > summary { padding: .6rem .8rem; cursor: pointer; }
details.column > summary .soft { margin-left: .6rem; font-size: .9rem; }
.inside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem 2rem; padding: .2rem .8rem 1rem; }
.inside h4 { margin: .2rem 0 .4rem; font-size: .9rem; color: var(--soft); font-weight: 600; }
.inside table { width: 100%; }
.inside td, .inside th { padding: .15rem .4rem .15rem 0; font-size: .875rem; border-bottom: 0; }
.inside th { font-weight: 400; min-width: 0; max-width: 11rem; color: var(--fg); }
.inside thead th { position: static; color: var(--soft); }
.inside table.bands td:nth-child(3) { width: 38%; }
svg { display: block; max-width: 100%; height: auto; }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
svg text.on { fill: var(--on); } svg text.in { fill: var(--fg); }
svg .bar { fill: var(--bar); } svg .often { fill: var(--bar); fill-opacity: .65; } svg .axis { stroke: var(--line); }
svg .there { fill: none; stroke: var(--neg); stroke-width: 1.5; }
svg .pos { fill: var(--pos); } svg .neg { fill: var(--neg); } svg .none { fill: var(--code); }
.meter { display: block; background: var(--code); border-radius: .2rem; height: .8rem; min-width: 4rem; overflow: hidden; }
.meter i { display: block; height: 100%; background: var(--bar); float: left; }
table.pair td { padding: 0 .4rem 0 0; border: 0; font-size: .8rem; white-space: nowrap; }
table.pair .meter { height: .35rem; min-width: 5rem; margin: 1px 0; } .meter.there i { background: var(--neg); }
.v-shifted, .v-large { color: var(--warn); font-weight: 600; }
.k0 { background: var(--k0) !important; } .k1 { background: var(--k1) !important; } .k2 { background: var(--k2) !important; }
.k3 { background: var(--k3) !important; } .k4 { background: var(--k4) !important; } .k5 { background: var(--k5) !important; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; margin: .2rem 0 .5rem; list-style: none; font-size: .85rem; }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: .2rem; margin-right: .35rem; vertical-align: -.05rem; }
.choose { border: 0; padding: 0; margin: 0 0 .6rem; display: flex; gap: 1.2rem; flex-wrap: wrap; }
.matrix .spearman { display: none; }
.matrix:has(input[value=spearman]:checked) .spearman { display: inline; }
.matrix:has(input[value=spearman]:checked) .pearson { display: none; }
.matrix svg { max-width: none; }
footer { color: var(--soft); font-size: .875rem; padding: 1.5rem 1rem 3rem; }
[hidden] { display: none !important; }
@media (max-width: 40rem) {
  h2 { margin-top: 1.7rem; }
  th, td { padding: .3rem .45rem; }
  .line { flex-direction: column; }
  details.column > summary .soft { display: block; margin-left: 1.1rem; }
}
@media print { nav, button, input[type=search] { display: none; } .long { max-height: none; } }
";

/// Copying a line, finding a column, and opening the one that a link leads to. Without it the page shows all the same.
pub(super) const SCRIPT: &str = r#"
for (const code of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy " + (code.tagName === "PRE" ? "all lines" : code.textContent));
  button.addEventListener("click", async () => {
    const text = code.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  code.after(button);
}
const find = document.getElementById("find");
if (find) {
  find.hidden = false;
  find.addEventListener("input", () => {
    const word = find.value.toLowerCase();
    for (const part of document.querySelectorAll("[data-name]")) {
      part.hidden = !part.dataset.name.toLowerCase().includes(word);
    }
  });
}
const open = () => {
  const part = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (part && part.tagName === "DETAILS") part.open = true;
};
addEventListener("hashchange", open);
open();
"#;

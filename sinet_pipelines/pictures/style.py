"""The style sheet of pages (light, dark, paper, telephone), and their policy, which allows no requests."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --paper: #ffffff; --raised: #f4f6f9; --line: #d9dee6;
  --link: #0b5cad; --good: #12703f; --good-back: #e5f5ec; --bad: #a32418; --bad-back: #fdebe8; --mark: #fff6d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #a3adbb; --paper: #14181f; --raised: #1e242e;
  --line: #363f4d; --link: #7db8f5; --good: #7fd6a5; --good-back: #15301f; --bad: #f3a297; --bad-back: #3a1b17;
  --mark: #3a3418; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
header p, figcaption { color: var(--soft); margin: 0; }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1rem; padding: .8rem 0 0; margin: 0; list-style: none;
  font-size: .9rem; }
a { color: var(--link); }
p { margin: .6rem 0; }
p.note, p.good, p.bad { padding: .7rem 1rem; border-radius: .4rem; border-left: .3rem solid var(--soft);
  background: var(--raised); }
p.good { border-color: var(--good); background: var(--good-back); color: var(--good); font-weight: 600; }
p.bad { border-color: var(--bad); background: var(--bad-back); color: var(--bad); font-weight: 600; }
dl.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .7rem; margin: 1rem 0; }
dl.figures div { background: var(--raised); border: 1px solid var(--line); border-radius: .4rem; padding: .6rem .8rem; }
dl.figures dt { color: var(--soft); font-size: .85rem; }
dl.figures dd { margin: .1rem 0 0; font-size: 1.3rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .7rem; border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; border-bottom-width: 2px; }
tbody th { font-weight: 600; width: 13rem; }
tbody th + td { overflow-wrap: anywhere; }
tbody td:first-child { min-width: 9rem; }
tbody td:last-child:not(.number) { min-width: 11rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.marked > * { background: var(--mark); font-weight: 600; }
pre { background: var(--raised); border: 1px solid var(--line); border-radius: .4rem; padding: .7rem 1rem;
  overflow-x: auto; }
figure { margin: 1.2rem 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: .4rem; padding: .4rem; }
figcaption { font-size: .88rem; margin-top: .35rem; }
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #444; --paper: #fff; --raised: #fff; --line: #bbb; --good: #12703f;
    --good-back: #fff; --bad: #a32418; --bad-back: #fff; --mark: #f2f2f2; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  nav { display: none; }
  h2, figcaption { break-after: avoid; }
  tr, figure, dl.figures, p.good, p.bad { break-inside: avoid; }
  .scroll, pre { overflow: visible; white-space: normal; }
  figure img { max-height: 9cm; border: 0; }
}
"""

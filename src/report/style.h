// The style sheet of report.html.
#pragma once

namespace qad {

inline constexpr const char* kStyleSheet = R"css(
:root { color-scheme: light dark;
  --ground: #fdfdfc; --panel: #f4f4f1; --ink: #1c1d1f; --muted: #62656b; --rule: #dcdcd6; --link: #1f5fbf;
  --good: #17693a; --bad: #b3261e; --unsure: #8a5a00; --warn: #fff4d6;
  --c0: #2a6fdb; --c1: #d9730d; --c2: #1f8a4c; --c3: #c8372d; --c4: #7b4fc9; --c5: #0f8b8d; --c6: #8c5a2b; --c7: #c2388f; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #16181b; --panel: #1f2226; --ink: #e8e8e4; --muted: #a0a4ab; --rule: #363a40; --link: #8ab8ff;
  --good: #62d08f; --bad: #ff8f85; --unsure: #ecb95a; --warn: #3a3018;
  --c0: #6ea8fe; --c1: #ffa657; --c2: #56d38a; --c3: #ff7b72; --c4: #c297ff; --c5: #3fcbd4; --c6: #d2a679; --c7: #f778ba; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 80rem; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
nav { display: flex; flex-wrap: wrap; gap: .35rem 1.25rem; padding-bottom: .9rem; border-bottom: 1px solid var(--rule); }
a { color: var(--link); }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 2.6rem 0 .8rem; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1.02rem; margin: 1.6rem 0 .4rem; }
p { margin: .6rem 0; max-width: 48rem; }
p.lead { font-size: 1.08rem; margin: .35rem 0; }
p.note { color: var(--muted); font-size: .92rem; }
p.warning { background: var(--warn); padding: .6rem .8rem; border-left: 4px solid var(--unsure); }
ul { padding-left: 1.3rem; max-width: 48rem; } li { margin: .25rem 0; }
code, pre { font: .88em/1.5 ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace; }
code { background: var(--panel); padding: .1em .3em; border-radius: 3px; overflow-wrap: anywhere; }
pre { background: var(--panel); padding: .8rem 1rem; overflow-x: auto; border-radius: 6px; } pre code { padding: 0; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding-bottom: .3rem; }
th, td { padding: .32rem .45rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; color: var(--muted); vertical-align: bottom; }
td:first-child, th:first-child { padding-left: .3rem; min-width: 7.5rem; }
.right { text-align: right; } td.right { white-space: nowrap; } .center { text-align: center; }
tr.chosen { background: var(--panel); } tr.chosen td:first-child { font-weight: 600; box-shadow: inset 3px 0 var(--good); }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
.unsure { color: var(--unsure); font-weight: 600; } .muted { color: var(--muted); }
figure { margin: 1.2rem 0; } figcaption { color: var(--muted); font-size: .9rem; max-width: 48rem; }
svg { width: 100%; max-width: 720px; height: auto; display: block; }
svg text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: var(--muted); }
svg text.name { fill: var(--ink); } svg text.chosen { font-weight: 700; } svg text.floor-label { fill: var(--bad); }
svg text.now-label { fill: var(--ground); font-weight: 700; }
.grid { stroke: var(--rule); stroke-width: 1; } .axis { stroke: var(--muted); stroke-width: 1; }
.leader { stroke: var(--rule); stroke-width: 1; } .floor { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 5 4; }
.front { fill: none; stroke: var(--muted); stroke-width: 1.2; stroke-dasharray: 2 3; }
.whisker { stroke-width: 2; opacity: .45; } .interval { stroke-width: 5; opacity: .35; stroke-linecap: round; }
.line { fill: none; stroke-width: 2; } .dashed { stroke-dasharray: 6 4; }
.ring { fill: none; stroke: var(--ink); stroke-width: 1.5; } .now { fill: none; stroke: var(--ink); stroke-width: 2.5; }
.cell { opacity: .85; }
.c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); } .c3 { stroke: var(--c3); }
.c4 { stroke: var(--c4); } .c5 { stroke: var(--c5); } .c6 { stroke: var(--c6); } .c7 { stroke: var(--c7); }
.none { stroke: var(--rule); }
.dot, .cell { stroke: none; }
.dot.c0, .cell.c0 { fill: var(--c0); } .dot.c1, .cell.c1 { fill: var(--c1); } .dot.c2, .cell.c2 { fill: var(--c2); }
.dot.c3, .cell.c3 { fill: var(--c3); } .dot.c4, .cell.c4 { fill: var(--c4); } .dot.c5, .cell.c5 { fill: var(--c5); }
.dot.c6, .cell.c6 { fill: var(--c6); } .dot.c7, .cell.c7 { fill: var(--c7); } .cell.none { fill: var(--rule); }
details { margin: .5rem 0; } summary { cursor: pointer; } details .scroll { margin-left: 1rem; }
td pre { margin: 0; padding: 0; background: none; white-space: pre-wrap; }
@media (max-width: 40rem) { body { padding: 1rem .8rem 3rem; } figure { overflow-x: auto; } svg { min-width: 36rem; } h1 { font-size: 1.4rem; } th, td { padding: .3rem .45rem; } td { min-width: 6rem; } }
@page { size: A4 landscape; margin: 11mm; }
@media print { :root { --ground: #fff; --panel: #f2f2f2; --ink: #000; --muted: #444; --rule: #bbb; color-scheme: light;
  --good: #17693a; --bad: #b3261e; --unsure: #8a5a00; --warn: #fff4d6; --link: #000;
  --c0: #2a6fdb; --c1: #d9730d; --c2: #1f8a4c; --c3: #c8372d; --c4: #7b4fc9; --c5: #0f8b8d; --c6: #8c5a2b; --c7: #c2388f; }
  body { max-width: none; padding: 0; font-size: 10pt; } nav, details { display: none; }
  .scroll { overflow: visible; } table { font-size: 6.8pt; } th, td { padding: .15rem .25rem; } th { overflow-wrap: anywhere; }
  td.right { white-space: normal; } td:first-child, th:first-child { min-width: 5rem; }
  figure, table, pre, p { break-inside: avoid; } h2, h3 { break-after: avoid; } h1 { break-before: page; } h1.first { break-before: auto; } }
)css";

}  // namespace qad

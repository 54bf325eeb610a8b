// The style sheet of a report. Colours are those of Okabe and Ito (2008), which colour-blind people
// tell apart; every mark has a shape of its own, too.
#pragma once

#include <string_view>

namespace earshot::replay::report {

constexpr std::string_view style_sheet = R"css(
:root { color-scheme: light dark;
  --paper: #fff; --ink: #1a1c1f; --soft: #5b6168; --rule: #d9dde1; --shade: #f4f6f8;
  --blue: #0072b2; --sky: #a9d3ee; --red: #c64400; --amber: #c98700; --green: #00805e;
  --purple: #a8407f; --best: #e3f1e9; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #15171a; --ink: #e6e8ea; --soft: #a2a9b0; --rule: #363b41; --shade: #1e2125;
  --blue: #58b4ea; --sky: #24506c; --red: #ff7a38; --amber: #f0b429; --green: #2fc796;
  --purple: #e08abf; --best: #1c3428; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1280px; padding: 1rem clamp(.7rem, 3vw, 2rem) 3rem;
  background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .6rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .4rem; padding-top: .8rem; border-top: 2px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.4rem 0 .1rem; }
p, ul, dl { max-width: 75ch; margin: .4rem 0; overflow-wrap: anywhere; }
.cell p { max-width: none; }
ul { padding-left: 1.2rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: 13px/1.45 ui-monospace, monospace; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.words { columns: 2 24rem; column-gap: 2.5rem; max-width: none; }
.words div { break-inside: avoid; padding-bottom: .5rem; }
.words dt { font-weight: 600; } .words dd { margin: 0; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { padding: .3rem .55rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
thead th { vertical-align: bottom; white-space: normal; font-weight: 600; min-width: 4.4rem;
  line-height: 1.25; background: var(--shade); }
th[scope=row], th[scope=rowgroup], thead th.name { text-align: left; }
th[scope=rowgroup] { vertical-align: top; }
th[scope=row] { font-weight: 400; }
tbody tr:last-child > * { border-bottom: 2px solid var(--rule); }
td.best { background: var(--best); font-weight: 600; }
td small, .legend, figcaption, .note { color: var(--soft); font-size: 13px; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--blue); }
.grid { display: grid; gap: .6rem 1.6rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); }
.grid.dense { grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); }
.legend { margin: .1rem 0 .4rem; max-width: none; }
.legend span { white-space: nowrap; margin-right: 1.1rem; }
.legend svg { width: 22px; height: 12px; vertical-align: -1px; margin-right: .35rem; }
figure { margin: 0; break-inside: avoid; min-width: 0; display: flex; flex-direction: column;
  justify-content: space-between; }
figcaption b { color: var(--ink); font-size: 14px; margin-right: .5rem; }
figure svg { display: block; width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg text.label { fill: var(--ink); font-size: 10.5px; paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
path { fill: none; stroke-linejoin: round; }
.grid-lines { stroke: var(--rule); stroke-width: 1; }
.area { fill: var(--sky); }
.line { stroke: var(--blue); stroke-width: 1.8; } .line.thin { stroke-width: 1.1; }
.target { stroke: var(--green); stroke-width: 1.8; stroke-dasharray: 5 3; }
.bound { stroke: var(--ink); stroke-width: 1.2; stroke-dasharray: 2 3; }
.dropped { stroke: var(--red); stroke-width: 1.5; }
.kept-late { stroke: var(--amber); stroke-width: 1.4; }
.lost { stroke: var(--ink); stroke-width: 1.2; }
.made-up { fill: var(--purple); }
.bars { fill: var(--blue); } .bars-dropped { fill: var(--red); stroke: var(--paper); stroke-width: .6; }
@media print { body { max-width: none; font-size: 11px; padding: 0; } h2 { break-after: avoid; }
  h3, .legend, p.lead { break-after: avoid; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .grid { grid-template-columns: 1fr 1fr; } .grid.dense { grid-template-columns: 1fr 1fr 1fr; }
  .scroll { overflow: visible; } table { font-size: 9px; } th, td { padding: .15rem .3rem; } }
)css";

}  // namespace earshot::replay::report

"""How the page looks: light, dark, on a phone, on a screen and on paper."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark;
  --page: #fff; --ink: #18222d; --soft: #4a5865; --line: #d9e0e6; --panel: #f3f6f8;
  --link: #15599c; --calm: #1d6b43; --calm-panel: #e8f5ee; --alarm: #a3241b;
  --alarm-panel: #fdeeec;
  --done: #2e8b5e; --files: #a98f7e; --consent: #75828e; --reservation: #b3bec7;
  --running: #8fc3ee; --waiting: #2f74b8; --unsent: #e39a16; --failed: #c8362b;
  --other: #444; }
@media screen and (prefers-color-scheme: dark) { :root {
  --page: #14191f; --ink: #e6ebf0; --soft: #a3b0bc; --line: #323c46; --panel: #1e262e;
  --link: #7db8f2; --calm: #7fd6a6; --calm-panel: #16301f; --alarm: #ff9d92;
  --alarm-panel: #3a1b19;
  --done: #3fa274; --files: #a58c7b; --consent: #83909c; --reservation: #55626d;
  --running: #7fb7e4; --waiting: #3d83c8; --unsent: #e9a83a; --failed: #e4564a;
  --other: #ccc; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem; background: var(--page);
  color: var(--ink); overflow-wrap: anywhere;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; }
header p, footer p, .more { color: var(--soft); font-size: .85rem; margin: .35rem 0 0; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .8rem; }
p { margin: .6rem 0; }
ul { list-style: none; margin: 0; padding: 0; }
a { color: var(--link); }
code { background: var(--panel); border-radius: 3px; padding: .1em .3em; font-size: .85em;
  font-family: ui-monospace, SFMono-Regular, Consolas, "Liberation Mono", monospace; }
code span { white-space: nowrap; }
.verdict { border-left: 6px solid; border-radius: 4px; font-size: 1.25rem; font-weight: 600;
  line-height: 1.35; margin: 1.2rem 0 0; padding: .8rem 1rem; }
.verdict.calm { background: var(--calm-panel); color: var(--calm); }
.verdict.alarming { background: var(--alarm-panel); color: var(--alarm); }
.verdict + section h2 { margin-top: 1.4rem; }
.points li { border-left: 3px solid var(--alarm); margin: .5rem 0; padding: .1rem 0 .1rem .8rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .6rem;
  margin: 1rem 0; }
.cards li { background: var(--panel); border-radius: 4px; color: var(--soft); font-size: .85rem;
  line-height: 1.3; padding: .5rem .8rem; }
.cards b { display: block; color: var(--ink); font-size: 1.5rem; line-height: 1.25; }
.cards .alarming b { color: var(--alarm); }
svg { display: block; overflow: visible; }
.columns { margin-top: .4rem; padding-left: 3.2rem; }
.columns text { fill: var(--soft); font-size: 12px; }
.columns .scale { text-anchor: end; }
.columns line { stroke: var(--line); stroke-width: 1; shape-rendering: crispEdges; }
.columns .mark { display: none; }
.columns .mark line { stroke: var(--soft); }
.touch { fill: transparent; }
.columns g:hover > .part { opacity: .75; }
.track { fill: var(--panel); }
.done { fill: var(--done); } .files { fill: var(--files); } .consent { fill: var(--consent); }
.reservation { fill: var(--reservation); } .running { fill: var(--running); }
.waiting { fill: var(--waiting); } .unsent { fill: var(--unsent); }
.failed { fill: var(--failed); } .other { fill: var(--other); }
.bars li { display: grid; grid-template-columns: 1fr auto; gap: .1rem 1rem; margin: .6rem 0;
  font-size: .87rem; line-height: 1.35; }
.bars .says { color: var(--soft); text-align: right; font-variant-numeric: tabular-nums; }
.bars svg { grid-column: 1 / -1; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .8rem; }
.swatch { display: inline-block; vertical-align: -1px; margin-right: .4rem; }
table { border-collapse: collapse; font-size: .87rem; margin-top: 1.2rem; width: 100%; }
caption { font-weight: 600; padding-bottom: .3rem; text-align: left; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .9rem .35rem 0; text-align: left;
  vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-size: .8rem; font-weight: 600; overflow-wrap: normal;
  vertical-align: bottom; }
tbody th { font-weight: 400; min-width: 6.5rem; }
td:not(.number) { min-width: 5.5rem; }
time { white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
.number.empty { color: var(--soft); }
details { margin-top: .9rem; }
summary { color: var(--link); cursor: pointer; font-size: .87rem; padding: .3rem 0; }
details table { margin-top: .3rem; }
footer { border-top: 1px solid var(--line); margin-top: 2.5rem; padding-top: .3rem; }
@media screen { details caption { display: none; } }
@media screen and (min-width: 60.01rem) { .mark.wide { display: inline; } }
@media screen and (min-width: 40.01rem) and (max-width: 60rem) {
  .mark.medium { display: inline; } }
@media screen and (max-width: 40rem) {
  body { padding: 1rem; }
  .mark.narrow { display: inline; }
  .columns { padding-left: 2.6rem; }
  .cards { grid-template-columns: 1fr 1fr; }
  .wide thead { display: none; }
  .wide, .wide :is(caption, tbody, tr, th, td) { display: block; padding: 0; border: 0; }
  .wide tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
  .wide tbody th { font-weight: 600; }
  .wide td { overflow: hidden; text-align: right; }
  .wide td::before { color: var(--soft); content: attr(data-head); float: left;
    margin-right: 1rem; max-width: 50%; text-align: left; }
  .wide caption { padding-bottom: .3rem; }
  .wide .empty { display: none; }
}
@media print {
  @page { margin: 15mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .mark.medium { display: inline; }
  svg, p, .cards, tr, .bars li, .legend, .verdict, .points li { break-inside: avoid; }
  h2, caption, thead, .verdict, section > p { break-after: avoid; }
  /* What is folded away on a screen is on paper. */
  details::details-content { content-visibility: visible; display: block; height: auto; }
  @supports selector(::details-content) { summary { display: none; } }
  table { font-size: 8.5pt; }
  a { color: inherit; text-decoration: none; }
}
"""

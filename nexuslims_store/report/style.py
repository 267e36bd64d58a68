"""How the page looks: dark on light, on a phone, on a screen and on paper."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem; background: #fff; color: #1c2733;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
header { border-bottom: 2px solid #1c2733; margin-bottom: 1.25rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; }
header p, footer p { color: #4a5865; margin: .35rem 0 .6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .8rem; }
ul { list-style: none; margin: 0; padding: 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .6rem; }
.cards li { background: #f2f5f8; border-left: 4px solid #1f6fb5; border-radius: 3px;
  padding: .5rem .8rem; color: #33414e; font-size: .9rem; }
.cards b { display: block; color: #1c2733; font-size: 1.5rem; line-height: 1.25; }
.cards .bad { border-color: #c0392b; }
svg { display: block; overflow: visible; }
svg text { font-size: 12px; fill: #33414e; }
svg .scale, svg .says { text-anchor: end; fill: #4a5865; }
svg .label { text-anchor: middle; }
svg .grid { stroke: #d9e0e6; stroke-width: 1; shape-rendering: crispEdges; }
svg .track { fill: #eef2f5; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .6rem 0 0; font-size: .8rem; }
.legend svg { display: inline-block; vertical-align: -1px; }
.table { margin-top: 1.2rem; overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; width: 100%; }
caption { color: #33414e; font-weight: 600; padding-bottom: .3rem; text-align: left; }
th, td { border-bottom: 1px solid #d9e0e6; padding: .3rem .7rem .3rem 0; text-align: left;
  vertical-align: top; overflow-wrap: break-word; min-width: 4.5rem; }
tbody th, #uploads td:last-child:not(.number) { overflow-wrap: anywhere; }
thead th { color: #4a5865; font-weight: 600; font-size: .78rem; overflow-wrap: normal; }
tbody th { font-weight: 400; }
#weeks tbody th { white-space: nowrap; }
#weeks th, #weeks td { min-width: 3rem; }
.number { font-variant-numeric: tabular-nums; }
.table + p { color: #4a5865; font-size: .85rem; margin: .3rem 0 0; }
footer { border-top: 1px solid #d9e0e6; font-size: .8rem; margin-top: 2.5rem; }
@media (max-width: 40rem) {
  body { padding: 1rem; }
  svg .more { display: none; }
  .wide table { min-width: 38rem; }
  .cards { grid-template-columns: 1fr 1fr; }
}
@media print {
  @page { margin: 15mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  svg, .cards, tr, .legend { break-inside: avoid; }
  h2, caption, thead { break-after: avoid; }
  .cards { grid-template-columns: repeat(6, 1fr); gap: 2mm; }
  .table { overflow: visible; }
  table { font-size: 8pt; }
  th, td, #weeks th, #weeks td { min-width: 0; padding-right: 2mm; }
  thead th { font-size: 6.5pt; }
}
"""

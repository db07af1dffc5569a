"""How dnslab's outputs look in a notebook: in JupyterLab by its theme's colours, elsewhere by those of the page around.

Every output brings this along, because JupyterLab takes outputs that are out of sight out of the page.
"""

from __future__ import annotations

_RULES = """
.dnslab-output { --dl-text: var(--jp-content-font-color1, inherit); --dl-quiet: var(--jp-content-font-color2, inherit);
  --dl-line: var(--jp-border-color2, rgba(128, 128, 128, 0.45)); --dl-ground: var(--jp-layout-color0, Canvas);
  --dl-box: var(--jp-layout-color2, rgba(128, 128, 128, 0.12)); --dl-mark: #0f87a3; --dl-warning: #c2761b;
  color: var(--dl-text); font-size: var(--jp-content-font-size1, 14px); line-height: 1.5; max-width: 1200px; }
.dnslab-output p, .dnslab-output li, .dnslab-output dd { max-width: 72ch; overflow-wrap: anywhere; }
.dnslab-output .scroll { overflow-x: auto; margin: 0.4em 0; }
.dnslab-output.dnslab-output table { border-collapse: collapse; border: 0; margin: 0; table-layout: auto;
  color: inherit; font-size: 0.93em; font-variant-numeric: tabular-nums; }
.dnslab-output.dnslab-output tbody tr { background: none; }
.dnslab-output.dnslab-output tbody tr:hover { background: var(--dl-box); }
.dnslab-output.dnslab-output :is(th, td) { padding: 0.32em 0.9em 0.32em 0; border: 0; text-align: right;
  border-bottom: 1px solid var(--dl-line); line-height: 1.4; vertical-align: baseline; white-space: nowrap; }
.dnslab-output.dnslab-output thead th { color: var(--dl-quiet); font-weight: 500; vertical-align: bottom; }
.dnslab-output.dnslab-output :is(th[scope=row], thead th:first-child) { text-align: left; }
.dnslab-output.dnslab-output .figures th[scope=row] { font-weight: 600; position: sticky; left: 0;
  background: var(--dl-ground); }
.dnslab-output.dnslab-output [data-words~='last'] td:last-child { white-space: normal; min-width: 16ch; }
.dnslab-output .figures td.reason { color: var(--dl-quiet); }
.dnslab-output.dnslab-output .facts :is(th, td) { border: 0; padding: 0.1em 1.2em 0.1em 0; text-align: left;
  vertical-align: top; white-space: normal; overflow-wrap: anywhere; }
.dnslab-output.dnslab-output .facts th { color: var(--dl-quiet); font-weight: 400; white-space: nowrap; }
.dnslab-output .card { border-left: 4px solid var(--dl-mark); padding: 0.1em 0 0.1em 0.9em; margin: 0.4em 0; }
.dnslab-output .card > p { margin: 0 0 0.2em; }
.dnslab-output .card > .title { font-weight: 600; }
.dnslab-output .answers { border-left: 4px solid var(--dl-mark); margin: 0.6em 0; padding: 0.1em 0 0.1em 0.9em; }
.dnslab-output .answers > div { display: grid; grid-template-columns: 11em 1fr; margin: 0 0 0.35em; }
.dnslab-output.dnslab-output .answers :is(dt, dd) { float: none; width: auto; margin: 0; padding: 0; }
.dnslab-output.dnslab-output .answers dt { color: var(--dl-quiet); font-weight: 400; padding-right: 1em; }
.dnslab-output .answers > div:first-child dd { font-size: 1.12em; font-weight: 600; }
.dnslab-output .headline { border-left: 4px solid var(--dl-warning); padding-left: 0.9em; font-weight: 600; }
.dnslab-output .vetoes { border-left: 4px solid var(--dl-warning); background: var(--dl-box);
  padding: 0.5em 0.9em 0.5em 2em; }
.dnslab-output :is(.quiet, figcaption, summary) { color: var(--dl-quiet); font-size: 0.93em; }
.dnslab-output h4 { margin: 1em 0 0.2em; font-size: 1em; font-weight: 600; }
.dnslab-output ul { margin: 0.3em 0; padding-left: 1.4em; }
.dnslab-output figure { margin: 0.6em 0; }
.dnslab-output figure img { width: 100%; max-width: 46rem; height: auto; background: #fff; padding: 6px;
  border-radius: 6px; box-sizing: border-box; }
.dnslab-output summary { cursor: pointer; }
.dnslab-output.dnslab-output pre { background: var(--dl-box); color: inherit; padding: 0.5em 0.8em; font-size: 0.9em; }
"""
#: columns of words are set to the left; ``Table`` says which they are
_WORDS = ", ".join(f".dnslab-output.dnslab-output [data-words~='{n}'] tr > :nth-child({n})" for n in range(1, 25))
STYLE = f"<style>{_RULES.replace(chr(10), ' ').strip()} {_WORDS} {{ text-align: left; }}</style>"

"""From the results of the load generator to figures, and from those to one table."""
import html
import json
import os
import platform
import re
import statistics
import subprocess
import time

NAMES = ["postern", "nginx", "haproxy"]


def operation(row, result):
    """Of a row with one entry: its operation. A held row has none that ends."""
    for o in result["operations"]:
        if o["operation"] == row.operation:
            return o
    return None


def errors(result):
    found = {}
    for o in result["operations"]:
        for name, n in o["errors"].items():
            found[name] = found.get(name, 0) + n
    return found


def process(result, name):
    return next(p for p in result["processes"] if p["name"] == name)


def figures(row, result, place):
    proxy = process(result, "proxy")
    f = {"errors": errors(result), "cores": proxy["cores"], "load_cores": process(result, "load")["cores"],
         "cas_cores": process(result, "cas")["cores"]}
    if row.hold:
        memory, held = proxy["pss_kb"], result["connections"]["held"]
        grown = memory["held"] - memory["before"]
        f.update(unit=grown / held if held else None, held=held, base=memory["before"], peak=memory["held"],
                 after=memory["after"], given_back=(memory["held"] - memory["after"]) / grown if grown else None)
        return f
    o = operation(row, result)
    units = o["done"] * (row.bytes_each / 1e9 if row.bytes_each else 1)
    scale = 1 if row.bytes_each else 1e6
    f.update(unit=proxy["cpu_s"] / units * scale if units else None, rate=units / result["measured_s"],
             p50=o["latency_us"]["p50"], p99=o["latency_us"]["p99"], p99_9=o["latency_us"]["p99_9"],
             limit=limit(f, place))
    return f


def limit(f, place):
    """What stood in the way of more: the proxy, the generator and backend, or neither (others on the machine, or the rate)."""
    if f["cores"] > 0.88 * len(place.proxy_cores):
        return "proxy"
    if f["load_cores"] + f["cas_cores"] > 0.88 * len(place.load_cores):
        return "load"
    return "-"


def traced(row, result, counter):
    """Calls per unit over the whole run, opening of connections included; units of the whole run likewise."""
    o = operation(row, result)
    index = result["operations"].index(o)
    done = sum(r["ops"][index][0] for r in result["rows"])
    units = done * (row.bytes_each / 1e6 if row.bytes_each else 1)
    return {"calls": counter.total() / units if units else None,
            "by_name": {k: v / units for k, v in sorted(counter.calls.items(), key=lambda x: -x[1])[:8]} if units else {}}


def line(row, name, f):
    text = "%-8s %8s %s" % (name, "%.2f" % f["unit"] if f["unit"] is not None else "-", row.unit)
    if row.hold:
        text += "  given back %.0f %%" % (100 * f["given_back"]) if f["given_back"] is not None else ""
    else:
        text += "  %10.1f/s  p99 %9.0f us  limit: %s" % (f["rate"], f["p99"], f["limit"])
    return text + ("  ERRORS %s" % f["errors"] if f["errors"] else "")


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def number(v):
    if v is None:
        return "-"
    return "%.0f" % v if v >= 100 else "%.1f" % v if v >= 10 else "%.2f" % v


class Line:
    """One row of the table, worked out."""

    def __init__(self, row, results, traces):
        self.row, self.results, self.traces = row, results, traces
        self.unit = {n: median([f["unit"] for f in results[n]]) for n in NAMES}
        self.ratio = {n: self.rounds_ratio(n) for n in NAMES[1:]}

    def rounds_ratio(self, peer):
        pairs = zip(self.results["postern"], self.results[peer])
        return median([a["unit"] / b["unit"] for a, b in pairs if a["unit"] and b["unit"]])

    def middle(self, name, key):
        return median([f.get(key) for f in self.results[name]])

    def limits(self):
        found = {n: {f.get("limit", "-") for f in self.results[n]} for n in NAMES}
        by_load = [n for n in NAMES if "load" in found[n]]
        return "load generator (%s)" % ", ".join(by_load) if by_load else ""

    def failures(self):
        all_errors = {}
        for n in NAMES:
            for f in self.results[n]:
                for k, v in f["errors"].items():
                    all_errors["%s: %s" % (n, k)] = all_errors.get("%s: %s" % (n, k), 0) + v
        return "; ".join("%s %d" % x for x in all_errors.items())

    def target(self):
        """(text, reached or None)"""
        if not self.row.target or self.unit["postern"] is None:
            return "", None
        what, value = self.row.target
        if what == "kb":
            return "<= %s KB" % value, self.unit["postern"] <= value
        ratios = [r for r in self.ratio.values() if r is not None]
        reached = self.ratio.get(what) if what != "better" else max(ratios, default=None)
        if reached is None:
            return "", None
        return "<= %.2f x %s" % (value, "the better peer" if what == "better" else what), reached <= value


def cpu_model():
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as text:
            m = re.search(r"model name\s*:\s*(.*)", text.read())
            return m.group(1) if m else platform.machine()
    except OSError:
        return platform.machine()


def congestion_control():
    try:
        with open("/proc/sys/net/ipv4/tcp_congestion_control", encoding="ascii") as text:
            return text.read().strip()
    except OSError:
        return "?"


def version(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    m = re.search(r"\d+\.\d+\.\d+\S*", done.stdout)
    return m.group(0) if m else "?"


class Report:
    def __init__(self, todo, results, traces, place, options, seconds):
        self.lines = [Line(r, results[r.key], traces[r.key]) for r in todo]
        self.results, self.traces, self.place, self.options, self.seconds = results, traces, place, options, seconds

    def circumstances(self):
        return [
            "%s comparison, %d round%s of %s each, %s, %.0f s in all" % (
                "Full" if self.options.full else "Quick", self.options.rounds, "" if self.options.rounds == 1 else "s",
                self.options.duration, time.strftime("%Y-%m-%d"), self.seconds),
            "%s, %d cores seen; proxy on %d, load generator and backend on %d; Linux %s, TCP %s" % (
                cpu_model(), os.cpu_count(), len(self.place.proxy_cores), len(self.place.load_cores), platform.release().split("-")[0],
                congestion_control()),
            "nginx %s, HAProxy %s, OpenSSL %s" % (version("nginx", "-v"), version("haproxy", "-v"), version("openssl", "version")),
        ]

    def grids(self):
        """(title, head, rows) of each table; a cell is text, or (text, class)."""
        yield self.cost_grid()
        yield self.speed_grid()
        memory = [x for x in self.lines if x.row.hold]
        if memory:
            yield self.memory_grid(memory)
        if any(self.traces[x.row.key] for x in self.lines):
            yield self.calls_grid()

    def cost_grid(self):
        head = ["", "unit", "Postern", "nginx", "HAProxy", "Postern / nginx", "Postern / HAProxy", "target", "reached", "limited by"]
        body = []
        for x in self.lines:
            text, reached = x.target()
            notes = "; ".join(t for t in (x.limits(), x.failures()) if t)
            body.append([x.row.title, x.row.unit] + [number(x.unit[n]) for n in NAMES] +
                        ["%.2f" % x.ratio[n] if x.ratio[n] else "-" for n in NAMES[1:]] +
                        [text, "" if reached is None else ("yes", "good") if reached else ("no", "bad"), notes])
        return "CPU time per unit, and memory per connection", head, body

    def speed_grid(self):
        head = ["", "per second", "nginx", "HAProxy", "p50 / p99 / p99.9 us", "nginx", "HAProxy"]
        body = []
        for x in self.lines:
            if x.row.hold:
                continue
            speed = ["%s%s" % (number(x.middle(n, "rate")), " GB" if x.row.bytes_each else "") for n in NAMES]
            delay = [" / ".join("%.0f" % (x.middle(n, k) or 0) for k in ("p50", "p99", "p99_9")) for n in NAMES]
            body.append([x.row.title] + speed + delay)
        return "Throughput and latency (Postern, nginx, HAProxy)", head, body

    def memory_grid(self, memory):
        head = ["", "proxy", "connections", "base MB", "peak MB", "after MB", "given back"]
        body = []
        for x in memory:
            for n in [n for n in NAMES if x.results[n]]:
                f = x.results[n][-1]
                body.append([x.row.title, n, "%d" % f["held"]] + ["%.1f" % (f[k] / 1024) for k in ("base", "peak", "after")] +
                            ["%.0f %%" % (100 * f["given_back"]) if f["given_back"] is not None else "-"])
        return "Memory when all connections have closed", head, body

    def calls_grid(self):
        head = ["", "Postern", "nginx", "HAProxy", "Postern's calls"]
        body = []
        for x in self.lines:
            if not x.traces:
                continue
            names = ", ".join("%s %s" % (k, number(v)) for k, v in list(x.traces["postern"]["by_name"].items())[:6])
            body.append([x.row.title + (", per MB" if x.row.bytes_each else "")] +
                        [number(x.traces[n]["calls"]) if n in x.traces else "-" for n in NAMES] + [names])
        return "System calls per unit", head, body

    def markdown(self):
        out = ["%s.  " % c for c in self.circumstances()]
        for title, head, body in self.grids():
            out += ["", "### " + title, "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
            out += ["| " + " | ".join(c[0] if isinstance(c, tuple) else c for c in row) + " |" for row in body]
        return "\n".join(out) + "\n"

    def html(self):
        out = ["<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Postern, nginx, HAProxy</title>", STYLE,
               "<h1>Postern, nginx and HAProxy on the same work</h1><p>" + "<br>".join(map(html.escape, self.circumstances()))]
        for title, head, body in self.grids():
            out.append("<h2>%s</h2><div><table><tr>%s" % (html.escape(title), "".join("<th>" + html.escape(h) for h in head)))
            for row in body:
                out.append("<tr>" + "".join("<td class=%s>%s" % (c[1], html.escape(c[0])) if isinstance(c, tuple)
                                            else "<td>" + html.escape(c) for c in row))
            out.append("</table></div>")
        return "\n".join(out) + "</html>\n"

    def json(self):
        return json.dumps({"circumstances": self.circumstances(), "results": self.results, "system_calls": self.traces}, indent=1)


STYLE = """<style>
:root{color-scheme:light dark;--line:#d5d9e0;--good:#1a7f37;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--line:#3a4048;--good:#5bd07a;--bad:#ff8a80}}
body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:80em;padding:0 1em}
div{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.3em .7em;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}.good{color:var(--good)}.bad{color:var(--bad)}
</style>"""

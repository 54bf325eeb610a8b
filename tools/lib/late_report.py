"""Runs `earshot replay` over the profiles and renews the figures of docs/late-frames.md; called by tools/late-report."""

import argparse
import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys

POLICIES = ("off", "late=200", "late=120", "late=80")
LISTENERS = ("adaptive", "fixed 60 ms", "never skips")
SECONDS = 180
# The plain deadline, where it does most harm.
DEADLINE_PROFILES = ("lte-handover", "jitter-30", "wifi-busy", "wifi-stalls")


def replay(program, arguments):
    result = subprocess.run((program, "replay", "--json", "-", *arguments), capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"earshot replay {' '.join(arguments)}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def totals(answer):
    """{(policy, listener): its totals}"""
    return {(policy["policy"], listener["listener"]): listener["total"]
            for policy in answer["policies"] for listener in policy["listeners"]}


def mean(values):
    values = list(values)
    return sum(values) / len(values)


class Figures:
    """Means over the seeds."""

    def __init__(self, runs):
        self.runs = runs

    def of(self, policy, listener, *path):
        def pick(run):
            value = run[policy, listener]
            for name in path:
                value = value[name]
            return value
        return mean(pick(run) for run in self.runs)

    def mos(self, policy, listener):
        return self.of(policy, listener, "mos")


def run_all(program, seeds, jobs):
    """{name: Figures} for each (profile, extra options, policies)."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        waiting = {
            name: [pool.submit(replay, program, (*options, "--seed", str(seed))) for seed in range(1, seeds + 1)]
            for name, options in jobs.items()}
        return {name: Figures([totals(future.result()) for future in futures]) for name, futures in waiting.items()}


def conversation(profile, *more, policies=POLICIES):
    return ("--synth", "4", "--synth-seconds", str(SECONDS), "--profile", profile,
            "--compare", ",".join(policies), *more)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def signed(value):
    return f"{value:+.2f}" if abs(value) >= 0.005 else "0"


def quality_table(figures, profiles):
    rows = []
    for profile in profiles:
        f = figures[profile]
        for listener in LISTENERS:
            plain = f.mos("off", listener)
            rows.append([profile if listener == LISTENERS[0] else "", listener, f"{plain:.2f}",
                         *(signed(f.mos(policy, listener) - plain) for policy in POLICIES[1:]),
                         " / ".join(f"{f.of(p, listener, 'mouth_to_ear_ms', 'p95'):.0f}" for p in POLICIES),
                         " / ".join(f"{100 * (f.of(p, listener, 'concealed_share') + f.of(p, listener, 'interrupted_share')):.1f}"
                                    for p in POLICIES)])
    return table(["network", "listener", "MOS, off", "200", "120", "80", "mouth to ear p95 ms: off / 200 / 120 / 80",
                  "not speech %: off / 200 / 120 / 80"], rows)


def frozen_table(figures, profiles):
    rows = []
    for profile in profiles:
        f = figures["frozen " + profile]
        for listener in LISTENERS:
            plain = f.mos("off", listener)
            rows.append([profile if listener == LISTENERS[0] else "", listener, f"{plain:.2f}",
                         *(signed(f.mos(policy, listener) - plain) for policy in POLICIES[1:])])
    return table(["network", "listener", "MOS, off", "200", "120", "80"], rows)


def deadline_table(figures):
    rows = []
    for profile in DEADLINE_PROFILES:
        f = figures["deadline " + profile]
        rows.append([profile, *(f"{f.mos('off', l):.2f} / {f.mos('late=80', l):.2f} / {f.mos('deadline=80', l):.2f}"
                                for l in LISTENERS)])
    return table(["network", *(f"{l}: off / late=80 / deadline=80" for l in LISTENERS)], rows)


def recovery_table(figures):
    f = figures["one stall"]
    rows = [[listener, *(f"{f.of(p, listener, 'late_over_100_ms_s'):.1f}" for p in POLICIES)] for listener in LISTENERS]
    return table(["seconds more than 100 ms late", "off", "200", "120", "80"], rows)


def claim_text(figures, profiles):
    def loss(profile):
        f = figures[profile]
        return f.mos("off", "adaptive") - f.mos("late=200", "adaptive")
    worst = max(profiles, key=loss)
    verdict = "holds" if loss(worst) <= 0.05 else "does not hold"
    return (f"With 200 ms an adaptive listener is never worse off than with plain forwarding by more than 0.05 MOS: this {verdict}; "
            f"the largest loss is {max(loss(worst), 0):.3f}, on `{worst}`.")


# --- Pictures ---------------------------------------------------------------------------------------------------------

STYLE = """<style>
text{font:13px system-ui,sans-serif;fill:#24292f}.grid{stroke:#d0d7de}.axis{stroke:#57606a}
.a{fill:#0072b2;stroke:#0072b2}.b{fill:#d55e00;stroke:#d55e00}.c{fill:#009e73;stroke:#009e73}.d{fill:#6e7781;stroke:#6e7781}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#30363d}.axis{stroke:#8b949e}
.a{fill:#56b4e9;stroke:#56b4e9}.b{fill:#e69f00;stroke:#e69f00}.c{fill:#3fc99a;stroke:#3fc99a}.d{fill:#a0a8b0;stroke:#a0a8b0}}
</style>"""


def mark(kind, x, y):
    """Shapes differ as colours do."""
    return {"a": f'<circle class="a" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>',
            "b": f'<rect class="b" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>',
            "c": f'<path class="c" d="M{x:.1f} {y - 5.5:.1f}l5.5 9.5h-11z"/>',
            "d": f'<path class="d" fill="none" stroke-width="2" d="M{x - 4:.1f} {y - 4:.1f}l8 8m0-8l-8 8"/>'}[kind]


def dot_plot(title, unit, rows, names, low, high, step, form):
    """rows: (label, values); a line for each, a mark for each of `names`: (kind, text)."""
    left, top, width, height = 150, 62, 560, 24
    bottom = top + height * len(rows)

    def x_of(value):
        return left + (min(max(value, low), high) - low) / (high - low) * width
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 30} {bottom + 46}" role="img">', STYLE,
           f'<title>{title}</title><text x="10" y="20" font-weight="600">{title}</text>']
    x = left
    for kind, text in names:
        out.append(mark(kind, x, 42) + f'<text x="{x + 10}" y="46">{text}</text>')
        x += 40 + 8 * len(text)
    count = round((high - low) / step)
    for i in range(count + 1):
        value = low + i * step
        out.append(f'<line class="grid" x1="{x_of(value):.1f}" x2="{x_of(value):.1f}" y1="{top - 6}" y2="{bottom}"/>'
                   f'<text x="{x_of(value):.1f}" y="{bottom + 18}" text-anchor="middle">{form.format(value) if abs(value) > 1e-9 else 0}</text>')
    out.append(f'<text x="{left + width / 2}" y="{bottom + 38}" text-anchor="middle">{unit}</text>')
    if low < 0 < high:
        out.append(f'<line class="axis" x1="{x_of(0):.1f}" x2="{x_of(0):.1f}" y1="{top - 6}" y2="{bottom}"/>')
    for i, (label, values) in enumerate(rows):
        y = top + height * (i + 0.5)
        out.append(f'<text x="{left - 12}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        out += [mark(kind, x_of(value), y) for (kind, _), value in zip(names, values)]
    return "\n".join(out + ["</svg>", ""])


def plots(figures, profiles):
    bounds = (("a", "200 ms"), ("b", "120 ms"), ("c", "80 ms"))
    for listener, name, whom in (("adaptive", "adaptive", "an adaptive listener"),
                                 ("never skips", "never-skips", "a listener that never skips")):
        rows = [(p, [figures[p].mos(policy, listener) - figures[p].mos("off", listener) for policy in POLICIES[1:]])
                for p in profiles]
        yield f"late-frames-mos-{name}.svg", dot_plot(
            f"What dropping late frames changes for {whom}",
            "MOS, against plain forwarding", rows, bounds, -0.3, 0.3, 0.1, "{:+.1f}")
    rows = [(p, [figures[p].of(policy, "adaptive", "mouth_to_ear_ms", "p95") for policy in POLICIES]) for p in profiles]
    yield "late-frames-delay.svg", dot_plot("How late an adaptive listener hears", "mouth to ear, 95th percentile, ms (at most 800 shown)",
                                            rows, (("d", "off"), *bounds), 0, 800, 100, "{:.0f}")


def renew(text, name, content):
    pattern = re.compile(rf"(<!-- begin: {name} -->\n).*?(<!-- end: {name} -->)", re.S)
    if not pattern.search(text):
        sys.exit(f"docs/late-frames.md has no place for {name}")
    return pattern.sub(lambda found: found.group(1) + content + "\n" + found.group(2), text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("program")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    os.chdir(options.root)
    os.environ["EARSHOT_PROFILES"] = os.path.join(options.root, "config/profiles")
    profiles = sorted(os.path.basename(path)[:-5] for path in glob.glob("config/profiles/*.toml"))
    frozen = [p for p in ("clean", "wifi-stalls", "lte-handover", "jitter-30") if p in profiles]
    jobs = {p: conversation(p) for p in profiles}
    jobs |= {"frozen " + p: conversation(p, "--synth-frozen") for p in frozen}
    jobs |= {"deadline " + p: conversation(p, policies=("off", "late=80", "deadline=80")) for p in DEADLINE_PROFILES}
    jobs["one stall"] = ("--synth", "1", "--synth-seconds", "60", "--compare", ",".join(POLICIES), "--uplink",
                         "delay=20ms,stall=300ms@20s,stall_drain=1ms", "--downlink", "delay=20ms")
    figures = run_all(options.program, options.seeds, jobs)

    path = "docs/late-frames.md"
    with open(path, encoding="utf-8") as file:
        text = before = file.read()
    for name, content in (("quality", quality_table(figures, profiles)), ("frozen", frozen_table(figures, frozen)),
                          ("deadline", deadline_table(figures)), ("recovery", recovery_table(figures)),
                          ("claim", claim_text(figures, profiles))):
        text = renew(text, name, content)
    files = {path: (before, text)}
    for name, content in plots(figures, profiles):
        target = f"docs/{name}"
        old = open(target, encoding="utf-8").read() if os.path.exists(target) else ""
        files[target] = (old, content)
    changed = [target for target, (old, new) in files.items() if old != new]
    if options.check:
        sys.exit(f"these would change: {', '.join(changed)}" if changed else 0)
    for target in changed:
        with open(target, "w", encoding="utf-8") as file:
            file.write(files[target][1])
    print("written: " + ", ".join(changed) if changed else "nothing has changed")


if __name__ == "__main__":
    main()

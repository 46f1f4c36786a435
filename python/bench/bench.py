"""What the package costs beside other clients: ``python python/bench/bench.py``.

It prints tables of ratios, each measured side by side in one run:

- CPU time for one run (a create and three looks at ``poll=0.0001``), best of five interleaved rounds;
- the same through each face of the package, sixteen runs at once, before the server that is written for
  speed and before an ordinary one (``ordinary_server.py``, on aiohttp), beside a loop on aiohttp;
- resident bytes for each of ten thousand tasks under way;
- the time an import adds to a bare Python;
- with ``--wheel FILE``, the size of the wheel and of its parts.

It needs the package, ``requirements.txt`` beside it, and ``rustc`` for the fast server. Each server is a
process of its own, so that none of its work is in the figures. ``--only`` chooses tables, ``--rounds`` and
``--runs`` how long it takes.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import contenders

HERE = pathlib.Path(__file__).resolve().parent
CONTENDERS = HERE / "contenders.py"

# The names of contenders.py, and how many runs a round of them has.
CPU = {
    "effects-async": 4000,
    "aiohttp": 2000,
    "httpx": 200,
    "effects": 2000,
    "requests": 300,
    "seaart-sdk": 300,
}
CPU_GOALS = [
    ("effects-async", "aiohttp", 1 / 2.5),
    ("effects-async", "httpx", 1 / 25),
    ("effects", "requests", 1 / 10),
    ("effects", "seaart-sdk", 1 / 10),
]
FACE_RUNS = 2000
# Of each face to `run` of its client, and of each async face to aiohttp.
FACE_GOAL = 1.15
ORDINARY_GOAL = 1 / 2.5
MEMORY = ["aiohttp", "effects-async", "effects-as-completed"]
MEMORY_GOALS = [("effects-async", "aiohttp", 1 / 4), ("effects-as-completed", "aiohttp", 1 / 8)]
IMPORTS = ["spark_effects", "httpx", "aiohttp", "requests"]
IMPORT_GOAL_MS = 25
TASKS = 10_000


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    tables = ["cpu", "faces", "memory", "import"]
    options.add_argument("--only", nargs="+", choices=tables, default=tables, help="the tables to make")
    options.add_argument("--rounds", type=int, default=5, help="rounds of each measurement")
    options.add_argument("--runs", type=float, default=1.0, help="a factor for the runs of a round")
    options.add_argument("--tasks", type=int, default=TASKS, help="tasks under way for the memory table")
    options.add_argument("--wheel", type=pathlib.Path, help="a wheel to list the parts of")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = built_server(folder)
        if "cpu" in chosen.only:
            cpu_table(server, chosen.rounds, chosen.runs)
        if "faces" in chosen.only:
            fast, ordinary = [server, "3"], [sys.executable, HERE / "ordinary_server.py", "3"]
            for name, command in [("a server written for speed", fast), ("an ordinary server", ordinary)]:
                faces_table(name, command, chosen.rounds, chosen.runs)
        if "memory" in chosen.only:
            memory_table(server, chosen.tasks)
        if "import" in chosen.only:
            import_table(max(chosen.rounds, 10))
    if chosen.wheel:
        subprocess.run([sys.executable, HERE / "wheel_size.py", chosen.wheel], check=True)


def built_server(folder):
    program = os.path.join(folder, "server")
    command = ["rustc", "-O", "--edition", "2024", HERE / "server.rs", "-o", program]
    subprocess.run(command, check=True)
    return program


class Server:
    """A server, in a process of its own, for the length of a ``with`` block."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.base_url = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def measured(what, name, server, count):
    """One figure of one contender, or why there is none."""
    command = [sys.executable, CONTENDERS, what, name, server.base_url, str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{name}: {done.stderr.strip()}")
    return float(done.stdout)


def cpu_table(program, rounds, factor):
    figures = {name: [] for name in CPU}
    with Server([program, "3"]) as server:
        for _ in range(rounds):
            for name, runs in CPU.items():
                figures[name].append(measured("cpu", name, server, max(int(runs * factor), 50)))
    best = {name: min(values) for name, values in figures.items()}
    print(f"\nCPU time for one run, user and system, best of {rounds} interleaved rounds\n")
    print("| client | µs a run | rounds |\n|---|---:|---|")
    for name, values in figures.items():
        print(f"| {name} | {best[name]:,.0f} | {', '.join(f'{value:,.0f}' for value in values)} |")
    ratios(best, CPU_GOALS)


def faces_table(what, command, rounds, factor):
    runs = max(int(FACE_RUNS * factor), 100)
    figures = {name: [] for name in [*contenders.FACES, "aiohttp", "aiohttp-single"]}
    with Server(command) as server:
        for _ in range(rounds):
            for name in figures:
                figures[name].append(measured("faces", name, server, runs))
    best = {name: min(values) for name, values in figures.items()}
    print(f"\nCPU time for one run through each face, best of {rounds} interleaved rounds, {what}\n")
    loops = ["aiohttp", "aiohttp-single"]
    print(f"| face | µs a run | to `run` | to {' | to '.join(loops)} | |\n|---|---:|---:|---:|---:|---|")
    for name, figure in best.items():
        client = name.partition(" ")[0]
        to_run = figure / best.get(f"{client} run", figure)
        is_reached = to_run <= FACE_GOAL
        if client == "async":
            is_reached = is_reached and figure / best["aiohttp-single"] <= ORDINARY_GOAL
        verdict = "" if name in loops else "reached" if is_reached else "missed"
        to_loops = " | ".join(f"1/{best[loop] / figure:.1f}" for loop in loops)
        print(f"| {name} | {figure:,.0f} | {to_run:.2f} | {to_loops} | {verdict} |")
    # Of the loop that does the same: the other one submits on connections that it keeps.
    print(f"\ngoals: at most {FACE_GOAL} of `run`, async at most 1/{1 / ORDINARY_GOAL:.1f} of aiohttp-single")


def memory_table(program, tasks):
    """From a client that has done nothing yet, and beyond a first task: what a client needs once, its
    code that runs for the first time and its connections, is in the former only."""
    figures = {"memory": {}, "memory-more": {}}
    for what, best in figures.items():
        for name in MEMORY:
            with Server([program, str(2**62)]) as server:
                best[name] = measured(what, name, server, tasks)
    print(f"\nResident bytes for each of {tasks:,} tasks under way\n")
    print("| client | bytes a task | beyond a first |\n|---|---:|---:|")
    for name in MEMORY:
        print(f"| {name} | {figures['memory'][name]:,.0f} | {figures['memory-more'][name]:,.0f} |")
    ratios(figures["memory"], MEMORY_GOALS)
    print("\nand beyond a first:")
    ratios(figures["memory-more"], MEMORY_GOALS)


def import_table(rounds):
    """Interpreter and import by the wall clock, the best of many, since nothing else is in the best."""
    codes = {"": "pass", **{name: f"import {name}" for name in IMPORTS}}
    best = dict.fromkeys(codes, float("inf"))
    for _ in range(rounds):
        for name, code in codes.items():
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            best[name] = min(best[name], time.perf_counter() - begun)
    print(f"\nWhat an import adds to a bare Python ({best[''] * 1e3:.1f} ms), best of {rounds}\n")
    print("| package | ms |\n|---|---:|")
    for name in IMPORTS:
        print(f"| {name} | {(best[name] - best['']) * 1e3:.1f} |")
    added = (best["spark_effects"] - best[""]) * 1e3
    print(f"\ngoal: at most {IMPORT_GOAL_MS} ms: {'reached' if added <= IMPORT_GOAL_MS else 'missed'}")


def ratios(best, goals):
    print("\n| ratio | measured | goal | |\n|---|---:|---:|---|")
    for ours, theirs, goal in goals:
        ratio = best[ours] / best[theirs]
        verdict = "reached" if ratio <= goal else "missed"
        print(f"| {ours} / {theirs} | 1/{1 / ratio:.1f} | 1/{1 / goal:.1f} | {verdict} |")


if __name__ == "__main__":
    main()

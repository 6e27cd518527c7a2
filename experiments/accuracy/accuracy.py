#!/usr/bin/env python3
"""Accuracy at equal epochs of every way to train the same net, cell by cell; goes on where it was stopped.

    python3 experiments/accuracy/accuracy.py --hff build/hff --out runs/accuracy [SUITE...] [--jobs 2] [--threads 1]

A suite is a net on a data set (SUITES below). First each method tries the same learning rates on the training images
less a hold-out, once, with seed 1; the rate with the best hold-out accuracy is then used for each seed's run on all
training images. Every run is a run folder under --out; one that is finished is not run again, one that was
interrupted is resumed. Nothing but the rate is tuned. --table prints the tables of what is there and runs nothing.
"""
import argparse
import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
RATES = (0.0003, 0.001, 0.003, 0.01)
METHODS = {  # what is set beside the suite's config
    "hff": ["objective.kind=hff"],
    "hff + sim": ["objective.kind=hff", "objective.sim.beta=0.99"],
    "ff": ["objective.kind=ff"],
    "softmax": ["objective.kind=softmax"],
    "softmax + sim": ["objective.kind=softmax", "objective.sim.beta=0.99"],
    "cwc": ["objective.kind=cwc"],
    "backprop": ["objective.kind=softmax", "net.partition=whole"],
}
SUITES = {  # config, methods, seeds, epochs, epochs of the search, what is set in the search alone
    "mnist": ("mnist.yaml", list(METHODS), (1, 2, 3), 5, 2, []),
    "fashion": ("fashion.yaml", list(METHODS), (1, 2, 3), 5, 2, []),
    "cifar10": ("cifar10.yaml", ["hff", "softmax", "backprop"], (1,), 3, 1, ["data.limit.train=20000", "data.limit.test=2000"]),
}
POINTS_BELOW = 0.02  # "epochs to reach backprop's accuracy less this"


class Cell:
    def __init__(self, suite, method, rate, seed, search):
        config, _, _, epochs, search_epochs, search_sets = SUITES[suite]
        self.suite, self.method, self.rate, self.seed, self.search = suite, method, rate, seed, search
        self.config = os.path.join(HERE, config)
        word = method.replace(" + ", "_")
        self.name = f"{suite}-{word}-" + (f"search-{rate}" if search else f"seed{seed}")
        self.sets = METHODS[method] + [f"run.seed={seed}", f"optimizer.lr={rate}",
                                       f"run.epochs={search_epochs if search else epochs}"]
        self.sets += ["data.holdout=0.1"] + search_sets if search else []

    def folder(self, out):
        return os.path.join(out, self.name)

    def result(self, out):
        try:
            with open(os.path.join(self.folder(out), "result.json")) as f:
                return json.load(f)
        except (OSError, ValueError):
            return None

    def accuracy(self, out):
        return self.result(out)["val" if self.search else "test"]["accuracy"]

    def epochs(self, out):
        """Accuracy at the end of each epoch."""
        with open(os.path.join(self.folder(out), "log.jsonl")) as f:
            rows = [json.loads(line) for line in f]
        return [row["fused"]["accuracy"] for row in rows if row["kind"] == "epoch"]

    def run(self, arguments):
        """Returns whether it is done; adds the processor time that it took to costs.jsonl."""
        folder = self.folder(arguments.out)
        command = [arguments.hff, "train", self.config, "--out", arguments.out, "--name", self.name, "--quiet"]
        for s in self.sets + [f"run.threads={arguments.threads}"]:
            command += ["--set", s]
        if os.path.exists(os.path.join(folder, "config.yaml")):
            command.append("--resume")
        begin = time.time()
        with open(folder + ".txt", "a") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        with open(os.path.join(arguments.out, "costs.jsonl"), "a") as f:
            f.write(json.dumps({"cell": self.name, "status": child.returncode, "wall": time.time() - begin,
                                "processor": usage.ru_utime + usage.ru_stime}) + "\n")
        return child.returncode == 0 and self.result(arguments.out) is not None


def run_all(cells, arguments):
    """Runs the cells that are not done; the failed ones' names."""
    waiting, failed, ended = queue.Queue(), [], []
    for cell in cells:
        if cell.result(arguments.out) is None:
            waiting.put(cell)
    total = waiting.qsize()

    def work():
        while True:
            try:
                cell = waiting.get_nowait()
            except queue.Empty:
                return
            ok = cell.run(arguments)
            if not ok:
                failed.append(cell.name)
            what = f"{100 * cell.accuracy(arguments.out):.2f} %" if ok else f"failed, see {cell.folder(arguments.out)}.txt"
            ended.append(cell.name)
            print(f"{len(ended)}/{total} {cell.name}: {what}", flush=True)

    threads = [threading.Thread(target=work) for _ in range(arguments.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


def searches(suite):
    return [Cell(suite, method, rate, 1, True) for method in SUITES[suite][1] for rate in RATES]


def best_rate(suite, method, out):
    cells = [c for c in searches(suite) if c.method == method and c.result(out)]
    return max(cells, key=lambda c: (c.accuracy(out), -c.rate)).rate if len(cells) == len(RATES) else None


def seeds(suite, out):
    cells = []
    for method in SUITES[suite][1]:
        rate = best_rate(suite, method, out)
        cells += [Cell(suite, method, rate, seed, False) for seed in SUITES[suite][2]] if rate else []
    return cells


def first_reached(accuracies, goal):
    """Epochs until the goal was passed, between two epochs' ends by a straight line; None: never."""
    before = None
    for i, accuracy in enumerate(accuracies):
        if accuracy >= goal:
            return i + 1.0 if before is None else i + (goal - before) / (accuracy - before)
        before = accuracy
    return None


def table(suite, out):
    cells = [c for c in seeds(suite, out) if c.result(out)]
    by_method = {m: [c for c in cells if c.method == m] for m in SUITES[suite][1]}
    _, _, wanted, epochs, search_epochs, _ = SUITES[suite]
    print(f"\n{suite}: test accuracy in % after {epochs} epochs (in brackets the least and the most)\n")
    print("| method | rate | hold-out of the search, rates " + ", ".join(map(str, RATES)) + " | accuracy | seeds | epochs to backprop's less 2 points |")
    print("|---|---|---|---|---|---|")
    twins = by_method.get("backprop", [])
    goal = statistics.mean(c.accuracy(out) for c in twins) - POINTS_BELOW if twins else None
    for method, done in by_method.items():
        if not done:
            continue
        tried = [f"{100 * c.accuracy(out):.2f}" for c in searches(suite) if c.method == method]
        figures = [100 * c.accuracy(out) for c in done]
        reached = [first_reached(c.epochs(out), goal) for c in done] if goal else []
        some = [r for r in reached if r is not None]
        when = f"{statistics.mean(some):.2f}" if len(some) == len(reached) and some else "not reached"
        spread = f" ({min(figures):.2f} to {max(figures):.2f})" if len(figures) > 1 else ""
        print(f"| {method} | {done[0].rate} | {' / '.join(tried)} | {statistics.mean(figures):.2f}{spread} | "
              f"{len(figures)} of {len(wanted)} | {when} |")


def costs(out):
    total = 0.0
    try:
        with open(os.path.join(out, "costs.jsonl")) as f:
            total = sum(json.loads(line)["processor"] for line in f)
    except OSError:
        pass
    print(f"\nprocessor time of all runs: {total / 60:.1f} minutes of one core")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", default=[], metavar="SUITE", help=", ".join(SUITES) + " (default: all)")
    parser.add_argument("--hff", default="build/hff", help="the program")
    parser.add_argument("--out", default="runs/accuracy", help="folder of the run folders")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads of a run (the result does not depend on it)")
    parser.add_argument("--table", action="store_true", help="print what is there, run nothing")
    arguments = parser.parse_args()
    unknown = [s for s in arguments.suites if s not in SUITES]
    if unknown:
        parser.error(f"unknown suite {unknown[0]}; there are {', '.join(SUITES)}")
    suites = arguments.suites or list(SUITES)
    arguments.out = os.path.abspath(arguments.out)
    os.makedirs(arguments.out, exist_ok=True)
    failed = []
    for suite in suites:
        if not arguments.table:
            failed += run_all(searches(suite), arguments)
            failed += run_all(seeds(suite, arguments.out), arguments)
        table(suite, arguments.out)
    costs(arguments.out)
    if failed:
        print(f"failed: {', '.join(failed)}; run the same command again to try them once more", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

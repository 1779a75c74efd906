"""Steps any number of workers round-robin, one at a time, and prints a table and, as the last line, JSON.

    interleave.py [--steps N] NAME=COMMAND...

The workers (see worker.py) are started and warmed one after the other. While one steps, the others wait on their
input, so they never compete for the cores and all meet the same machine. A worker that cannot start, or that dies,
is reported as skipped; the others go on.
"""

import argparse
import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time

SETTLE_SECONDS = 0.05  # idle threads of the worker before spin for a while


class Worker:
    def __init__(self, name, command):
        self.name, self.command = name, command
        self.ready, self.results, self.skipped = {}, [], None
        self.process = None
        self.errors = tempfile.TemporaryFile(mode="w+", errors="replace")

    def start(self, limit):
        try:
            self.process = subprocess.Popen(
                shlex.split(self.command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                text=True,
            )
        except OSError as error:
            self.skipped = str(error)
            return
        self.ready = self.answer(limit) or {}

    def step(self, limit):
        if self.send("step"):
            result = self.answer(limit)
            if result:
                self.results.append(result)

    def send(self, request):
        try:
            print(request, file=self.process.stdin, flush=True)
            return True
        except OSError:
            self.fail("it ended")
            return False

    def answer(self, limit):
        """The next line of JSON, or None once the worker has failed. Lines that are not JSON are passed by."""
        begin = time.monotonic()
        late = threading.Timer(limit, self.process.kill)
        late.start()
        try:
            for line in self.process.stdout:
                if line.startswith("{"):
                    return json.loads(line)
            self.fail(f"no answer in {limit:g} s" if time.monotonic() - begin >= limit else "it ended")
        except json.JSONDecodeError as error:
            self.fail(f"not JSON: {error}")
        finally:
            late.cancel()
        return None

    def fail(self, what):
        try:
            status = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()]
        after = f" after step {len(self.results)}" if self.results else ""
        self.skipped = f"{what}{after} (status {status})" + (f": {lines[-1]}" if lines else "")

    def stop(self):
        if self.process and self.process.poll() is None and self.send("quit"):
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def summary(self):
        about = {"name": self.name, "command": self.command, "versions": self.ready.get("versions", {})}
        if self.skipped:
            return about | {"skipped": self.skipped}
        seconds = [result["seconds"] for result in self.results]
        return about | {
            "steps": len(seconds),
            "seconds_per_step": statistics.median(seconds),
            "seconds_per_step_min": min(seconds),
            "resident_bytes": max(result["resident_bytes"] for result in self.results),
            "libraries_bytes": self.ready.get("libraries_bytes"),
            "page_faults_per_step": statistics.median(result["page_faults"] for result in self.results),
            "loss": self.results[-1]["loss"],
        }


def machine():
    with open("/proc/cpuinfo") as cpuinfo:
        about = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in cpuinfo)}
    return {
        "cpu": about.get("model name", platform.machine()),
        "vectors": [f for f in about.get("flags", "").split() if f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16")],
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
    }


def table(report):
    where = report["machine"]
    yield (
        f"{where['cpu']} ({', '.join(where['vectors'])}), {where['cores']} cores, "
        f"{where['memory_bytes'] / 2**30:.0f} GiB; {report['date']}"
    )
    yield ""
    yield "| | seconds per step | fastest | peak resident MB | page faults per step | last loss |"
    yield "|---|---:|---:|---:|---:|---:|"
    for row in report["workers"]:
        if "skipped" in row:
            yield f"| {row['name']} | skipped: {row['skipped'].replace('|', '/')} | | | | |"
            continue
        loss = "" if row["loss"] is None else f"{row['loss']:.4f}"
        yield (
            f"| {row['name']} | {row['seconds_per_step']:.3f} | {row['seconds_per_step_min']:.3f} "
            f"| {row['resident_bytes'] / 1e6:.0f} | {row['page_faults_per_step']:.0f} | {loss} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12, help="steps of each worker (default 12)")
    parser.add_argument("--start-limit", type=float, default=600, help="seconds to get ready in (default 600)")
    parser.add_argument("--step-limit", type=float, default=300, help="seconds a step may take (default 300)")
    parser.add_argument("workers", nargs="+", metavar="NAME=COMMAND")
    arguments = parser.parse_args()
    if arguments.steps < 1:
        parser.error("--steps must be at least 1")
    workers = []
    for given in arguments.workers:
        name, equals, command = given.partition("=")
        if not (name and equals and command.strip()):
            parser.error(f"not NAME=COMMAND: {given!r}")
        workers.append(Worker(name, command))

    def tell(message):
        print(message, file=sys.stderr, flush=True)

    try:
        for worker in workers:
            worker.start(arguments.start_limit)
            tell(f"{worker.name}: " + (f"skipped: {worker.skipped}" if worker.skipped else "ready"))
        for step in range(arguments.steps):
            for worker in workers:
                if not worker.skipped:
                    time.sleep(SETTLE_SECONDS)
                    worker.step(arguments.step_limit)
            tell(f"step {step + 1} of {arguments.steps}")
    finally:
        for worker in workers:
            worker.stop()
    report = {
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "workers": [worker.summary() for worker in workers],
    }
    print("\n".join(table(report)))
    print()
    print(json.dumps(report))


if __name__ == "__main__":
    main()

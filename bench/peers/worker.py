"""What the workers share: the options of the benchmark GPT, its tokens, and the protocol.

A worker prints one line {"ready": true, ...} after its warm-up. Then, for every line "step" on stdin, it runs one
training step and prints {"seconds", "loss", "resident_bytes", "page_faults"}; "quit" or end of input ends it.
`resident_bytes` is the peak of the process so far, `page_faults` counts the minor ones of this step.
"""

import argparse
import json
import os
import resource
import sys
import time

WARM_UP_STEPS = 2


def options(description):
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--sequence", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--vocabulary", type=int, default=50257)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=1)
    return parser


def batches(config):
    """Endless pairs of inputs and targets [batch, sequence], the same in every worker."""
    import numpy

    random = numpy.random.default_rng(config.seed)
    while True:
        tokens = random.integers(0, config.vocabulary, (config.batch, config.sequence + 1))
        yield tokens[:, :-1].copy(), tokens[:, 1:].copy()


def peak_resident_bytes():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


def minor_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def serve(prepare, step, libraries_bytes, **versions):
    """Speaks the protocol. `prepare()` makes a step's input, untimed; `step(input)` answers the loss, or None.

    `libraries_bytes` is what the process held before it made anything of its own: the part of the resident size that
    belongs to how a library was built (a CUDA wheel of torch has more of it than one for the CPU alone).
    """

    def timed():
        given = prepare()
        faults, start = minor_faults(), time.perf_counter()
        loss = step(given)
        seconds = time.perf_counter() - start
        return {
            "seconds": seconds,
            "loss": loss,
            "resident_bytes": peak_resident_bytes(),
            "page_faults": minor_faults() - faults,
        }

    def say(message):
        print(json.dumps(message), flush=True)

    for _ in range(WARM_UP_STEPS):
        timed()
    say({"ready": True, "versions": versions, "libraries_bytes": libraries_bytes})
    for line in sys.stdin:
        match line.strip():
            case "step":
                say(timed())
            case "quit":
                break
            case other:
                sys.exit(f"unknown request: {other!r}")

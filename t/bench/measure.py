# SPDX-License-Identifier: Apache-2.0
"""Loads and their medians: interleaved rounds, one contestant after the other."""

import json
import os
import subprocess
import time
from statistics import median

from servers import build_load

WARM = 0.15  # seconds of each load that are not measured


def calibrate(compute):
    """Turns of compute() in a millisecond of CPU of the Python that runs this."""
    best = 0
    for _ in range(5):
        begin = time.thread_time_ns()
        compute(100000)
        best = max(best, 100000 * 1e6 / (time.thread_time_ns() - begin))
    return best


class Meter:
    """Sends loads; remembers nothing."""

    def __init__(self, settings):
        self.root = settings.root
        self.load = build_load(settings)

    def files(self, contestant, workload):
        """The requests as files for the load generator, in their turns."""
        paths = []
        for request in workload.requests:
            name = "%s.%s.%s.%s" % (workload.name, contestant.name, request.app,
                                    request.page.partition("?")[0])
            path = os.path.join(self.root, name)
            if path not in paths:
                with open(path, "wb") as file:
                    file.write(request.text(contestant.mounts))
            paths.append(path)
        return paths

    def start(self, contestant, workload, seconds):
        """The load generator at work."""
        command = [self.load, "-c", str(workload.connections), "-w", str(WARM),
                   "-t", str(seconds), "-r", str(workload.rate),
                   "-p", ",".join(map(str, contestant.pids())), str(contestant.port)]
        return subprocess.Popen(command + self.files(contestant, workload), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, contestant, workload, seconds):
        """One load: what t/bench/load.c prints, and per second and request. A longer
        one where no request was answered, on a machine that does much else."""
        result = finish(self.start(contestant, workload, seconds), workload)
        if not result["requests"] and not result["errors"] and seconds < 10:
            return self.run(contestant, workload, 4 * seconds)
        return result

    def run_beside(self, contestants, workload, seconds):
        """The same load on each, at the same time: a result of each."""
        loads = [self.start(contestant, workload, seconds) for contestant in contestants]
        return [finish(load, workload) for load in loads]


def finish(load, workload):
    out, error = load.communicate()
    if load.returncode:
        return {"requests": 0, "errors": 1, "said": error.strip()}
    return figures(json.loads(out), workload)


def figures(said, workload):
    """Latencies of a mix are those of its first request."""
    shown = said["files"][0] if workload.rate else said
    requests = max(said["requests"], 1)
    return {"requests": said["requests"], "errors": said["errors"], "resent": said["resent"],
            "bad": said["bad"],
            "rate": said["requests"] / said["seconds"], "cpu": said["cpu"] / requests,
            "p50": shown["p50"], "p99": shown["p99"], "max": shown["max"]}


def proven(contestant, workload):
    """Asks once for each request and looks at the answer: '' or what is wrong."""
    for request in workload.requests:
        why = contestant.wait(request)
        if why:
            return why
        _, body = contestant.ask(request)
        if workload.length is not None and len(body) != workload.length:
            return "%d bytes instead of %d" % (len(body), workload.length)
        if request.body and body != b"%d" % len(request.body):
            return "not all of the body was read: %r" % body
    return ""


def interleaved(meter, contestants, workload, rounds, seconds):
    """name -> results of the rounds, taken A B C A B C ... Where there are several,
    a short one goes before that is not kept: every process has to be loaded."""
    for contestant in contestants * (rounds > 1):
        meter.run(contestant, workload, WARM)
    results = {contestant.name: [] for contestant in contestants}
    seconds = max(seconds, workload.least if rounds > 1 else 0)
    for _ in range(rounds):
        for contestant in contestants:
            results[contestant.name].append(meter.run(contestant, workload, seconds))
    return results


def middle(results):
    """Medians of the rounds; requests and errors are sums."""
    found = {key: sum(result[key] for result in results) for key in ("requests", "errors")}
    good = [result for result in results if "rate" in result]
    for key in ("rate", "cpu", "p50", "p99"):
        found[key] = median(result[key] for result in good) if good else 0
    return found


def ratio(one, other, key):
    """Median of the ratios of rounds that ran one after the other."""
    return median(a[key] / b[key] for a, b in zip(one, other, strict=True) if b[key])

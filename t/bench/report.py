# SPDX-License-Identifier: Apache-2.0
"""Results as text: one table for each figure, ours absolute, all others as ratios."""

import datetime
import sys

TABLES = (("rate", "Requests a second (more is better)"),
          ("cpu", "CPU time of a request, user and system, of all the server's processes"),
          ("p50", "Latency, median"), ("p99", "Latency, 99 of 100"))


def progress(name):
    print("  %s ..." % name, file=sys.stderr, flush=True)


def amount(key, value):
    if key == "rate":
        return "%.0f" % value if value >= 100 else "%.1f" % value
    return "%.2f ms" % (value / 1000) if value >= 1000 else "%.0f µs" % value


def cell(key, name, results):
    """One of a table: ours as it is, others against ours."""
    if name not in results:
        return ""
    value, base = results[name][key], results["ours"][key]
    if name == "ours":
        text = amount(key, value)
    elif not base or not value:
        return "–"
    else:
        text = "%.2f" % (value / base)
    return text + (" (%d errors)" % results[name]["errors"] if results[name]["errors"] else "")


def line(cells):
    print("| " + " | ".join(cells) + " |")


def head(cells):
    line(cells)
    line(["---"] + ["---:"] * (len(cells) - 1))


def names_of(result):
    return list(result["servers"])


def one_table(result, key):
    names = names_of(result)
    head(["workload"] + [result["servers"][name]["title"] for name in names])
    for name, workload in result["workloads"].items():
        if "ours" not in workload["results"]:
            continue
        line([name] + [cell(key, one, workload["results"]) for one in names])


def server_table(result):
    head(["server", "RSS", "PSS", "processes", "settings"])
    for server in result["servers"].values():
        line([server["title"], "%.0f MB" % (server["Rss"] / 1024),
              "%.0f MB" % (server["Pss"] / 1024), str(server["processes"]), server["settings"]])


def workload_list(result):
    for name, workload in result["workloads"].items():
        how = "%g requests a second" % workload["offered"] if workload["offered"] \
            else "%d connections" % workload["connections"]
        print("- %s: %s; %s" % (name, workload["title"], how))


def error_table(result):
    """Answers that were none, of all that were asked for."""
    head(["server", "errors", "requests"])
    for name, server in result["servers"].items():
        own = [workload["results"][name] for workload in result["workloads"].values()
               if name in workload["results"]]
        line([server["title"], str(sum(one["errors"] for one in own)),
              "%d" % sum(one["requests"] for one in own)])


def instruction_table(rows):
    head(["instructions of a request", "mod_polywsgi", "bare C handler", "ratio", "more"])
    for name, bare, ours in rows:
        line([name, "%d" % ours, "%d" % bare, "%.2f" % (bare / ours), "%d" % (ours - bare)])


def text(result):
    versions = result["versions"]
    print("%s: %s; Python %s%s; %s; medians of %d rounds of %g s" % (
        datetime.date.today(), versions["httpd"], versions["python"],
        ", " + versions["libpython"] if versions["libpython"] else "", versions["machine"],
        result["rounds"], result["seconds"]))
    print("Ours absolute, others as ratios to ours.\n")
    workload_list(result)
    for key, title in TABLES:
        print("\n%s:\n" % title)
        one_table(result, key)
    print("\nMemory with all applications loaded, after the load:\n")
    server_table(result)
    print("\nErrors in all workloads (sums of the rounds):\n")
    error_table(result)
    if result["instructions"]:
        print()
        instruction_table(result["instructions"])
    wrong = [(name, who, why) for name, one in result["workloads"].items()
             for who, why in one["wrong"].items()]
    for name, why in result["absent"].items():
        print("\nleft out: %s: %s" % (name, why))
    for name, who, why in wrong:
        print("\n%s: %s does not answer: %s" % (name, who, why))

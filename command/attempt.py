# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F821
"""The process in which `polywsgi check` tries one application.

It runs as the run-time user, in one namespace with src/py's report, boot, load,
stop, hooks and cause, and ends with one JSON object on the descriptor job["fd"]:

    notes     list of [cause, mend]: what is wrong, but need not matter
    loaded    true, or false with
    cause, mend, details, summary, trace, hangs (details and mend may be "")
    refused   extensions that do not load in this kind of interpreter
    seconds   how long the load took
"""

import json
import os
import sys


def answer(job, result):
    """The first answer is the answer."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # WSGIRestrictStdout
            continue
    data = json.dumps(result).encode("ascii")
    while data:
        data = data[os.write(job["fd"], data):]
    os._exit(0)


def packages_of(home):
    return os.path.join(home, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")


def look(path, what):
    """[[cause, mend]] where the path is missing or closed, else []."""
    found = closed(path)
    if found:
        return [list(found)]
    if not os.path.exists(path):
        return [["%s %s is not there" % (what, path), "make it, or correct the path"]]
    return []


def look_around(job):
    """What is to say of the environment and of WSGIPythonPath."""
    notes = []
    if job["home"]:
        notes += look(job["home"], "the environment")
        if not notes:
            notes += look(packages_of(job["home"]), "the environment's directory")
    for directory in (job["path"] or "").split(":"):
        if directory.startswith("/"):
            notes += look(directory, "the directory of WSGIPythonPath")
    return notes


def check_python(job):
    version = "%d.%d.%d" % sys.version_info[:3]
    if version.rpartition(".")[0] == job["python"].rpartition(".")[0]:
        return None
    return {
        "cause": "%s is Python %s, but httpd has %s" % (sys.executable, version, job["python"]),
        "mend": "build the module anew, then stop and start httpd",
    }


def failure(error, job):
    summary, trace = report(error)
    names = refused()
    cause, mend, details = explain(error, job["script"], names) or ("", "", "")
    return {
        "loaded": False, "cause": cause, "mend": mend, "details": details,
        "summary": summary, "trace": trace, "refused": names,
    }


def stand_in(job):
    """What applications may ask of the module `polywsgi`."""
    import types

    module = types.ModuleType("polywsgi")
    module.interpreter = job["interpreter"]
    module.isolation = job["isolation"]
    module.instance = 1
    module.__version__ = job["version"]
    set_up_hooks(module, 1, 1)
    sys.modules["polywsgi"] = module


def load_it(job):
    from time import monotonic

    begin = monotonic()
    try:
        settle(job["home"], job["path"], job["env"], job["isolation"], job["options"])
        load(job["script"], job["module"], job["callable"])
        result = {"loaded": True, "refused": refused()}
    except BaseException as error:
        result = failure(error, job)
    result["seconds"] = monotonic() - begin
    answer(job, dict(result, notes=job["notes"]))


def try_import(job):
    """In the interpreter that the application is for, and as in httpd not in
    its main thread; this one says where the load stands when its time is over."""
    import _thread
    import time
    import traceback

    current_frames = sys._current_frames
    stand_in(job)
    ident = _thread.start_new_thread(load_it, (job,))
    time.sleep(job["limit"])
    stack = traceback.format_stack(current_frames().get(ident))
    trace = "".join(line for line in stack if 'File "<' not in line)
    answer(job, {"loaded": False, "hangs": True, "trace": trace})


def try_in_subinterpreter(job):
    """One with a GIL of its own, as in httpd; False where there is none."""
    try:
        import _datetime  # noqa: F401  3.13 wants it in the main interpreter first
        import _interpreters
    except ImportError:
        return False
    config = _interpreters.new_config("isolated", allow_exec=True, allow_daemon_threads=True)
    source = "import json\njob = json.loads(%r)\n%s\ntry_import(job)\n" % (
        json.dumps(job), job["bootstrap"])
    failed = _interpreters.exec(_interpreters.create(config), source)
    answer(job, {"loaded": False, "summary": str(getattr(failed, "formatted", failed)),
                 "trace": ""})
    return True


def attempt(job):
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    wrong = check_python(job)
    if wrong:
        answer(job, dict(wrong, loaded=False))
    job["notes"] = look_around(job)
    if job["script"]:
        stopped = look(job["script"], "the script")
        if stopped:
            answer(job, {"loaded": False, "cause": stopped[0][0], "mend": stopped[0][1],
                         "notes": job["notes"]})
    if job["isolation"] == "own-gil" and try_in_subinterpreter(job):
        return
    try_import(job)

# SPDX-License-Identifier: Apache-2.0
"""Makes the command: command.py OUTPUT PYTHON HTTPD VERSION SRCDIR

command/polywsgi.py with its first line, and the values at its head, filled in:
among them the parts of src/py that load an application.
"""
import os
import sys

PARTS = ("src/py/report.py", "src/py/files.py", "src/py/boot.py", "src/py/load.py",
         "src/py/stop.py", "src/py/hooks.py", "src/py/cause.py", "command/attempt.py")


def read(*names):
    with open(os.path.join(*names), encoding="utf-8") as file:
        return file.read()


def fill(text, name, value):
    """NAME = ... at the beginning of a line."""
    lines = text.splitlines(keepends=True)
    [at] = [i for i, line in enumerate(lines) if line.startswith(name + " = ")]
    lines[at] = "%s = %r\n" % (name, value)
    return "".join(lines)


def main():
    output, python, httpd, version, srcdir = sys.argv[1:]
    text = read(srcdir, "command/polywsgi.py")
    text = "#!%s -I\n%s" % (python, text.partition("\n")[2])
    parts = [(os.path.basename(name)[:-3], read(srcdir, name)) for name in PARTS]
    for name, value in (("VERSION", version), ("HTTPD", httpd), ("PARTS", parts),
                        ("CONTROL", read(srcdir, "command/control.py"))):
        text = fill(text, name, value)
    compile(text, output, "exec")
    with open(output, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(output, 0o755)


main()

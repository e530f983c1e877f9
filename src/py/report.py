"""Turns an exception into text for the error log.

Runs first in every interpreter, so that a failure of the next parts can be
reported; imports nothing before it is needed.
"""

_LINES = 200


def _own(filename):
    return filename.startswith("<polywsgi ")


def _drop_own_frames(exception):
    """Leaves out the frames of this module's parts: they say nothing."""
    traceback = exception.__traceback__
    while traceback is not None and _own(traceback.tb_frame.f_code.co_filename):
        traceback = traceback.tb_next
    return traceback


def report(exception):
    """Returns (one line that says what, the traceback as lines)."""
    import traceback

    kind = type(exception)
    summary = traceback.format_exception_only(kind, exception)[-1].strip()
    frames = _drop_own_frames(exception)
    lines = "".join(traceback.format_exception(kind, exception, frames)).splitlines()
    if len(lines) > _LINES:
        half = _LINES // 2
        cut = len(lines) - 2 * half
        lines[half:-half] = ["  ... %d lines left out ..." % cut]
    text = "\n".join(lines)
    return (
        " ".join(summary.splitlines()).encode("utf-8", "backslashreplace").decode("utf-8"),
        text.encode("utf-8", "backslashreplace").decode("utf-8"),
    )

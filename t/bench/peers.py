# SPDX-License-Identifier: Apache-2.0
"""The peers: each function returns a contestant, or says why there is none."""

import os
import shutil
import sys

from servers import (
    CORES,
    THREADS,
    Contestant,
    Server,
    directory,
    embedded_lines,
    free_port,
    httpd,
    load_modules,
    load_python,
    mounts,
)

# One application in the main interpreter, as mod_wsgi's documentation advises;
# the second needs one of its own.
MOD_WSGI = """\
WSGIScriptAlias /wsgi {root}/apps/plain.py application-group=%{{GLOBAL}}{group}
WSGIScriptAlias /second {root}/apps/plain.py application-group=second{group}
WSGIEnableSendfile {sendfile}
"""

DAEMON = """\
WSGIDaemonProcess bench processes={cores} threads=16
WSGISocketPrefix {sockets}/wsgi
"""


def mod_wsgi_file(settings):
    libexec = settings.query("LIBEXECDIR")
    exact = "%s/mod_wsgi.so-%d.%d" % ((libexec,) + sys.version_info[:2])
    return exact if os.path.exists(exact) else libexec + "/mod_wsgi.so"


def mod_wsgi(settings, name="mod_wsgi", group="", more=()):
    """Embedded."""
    file = mod_wsgi_file(settings)
    if not os.path.exists(file):
        return "no mod_wsgi.so; Debian: libapache2-mod-wsgi-py3"
    lines = list(more) + [MOD_WSGI.format(root=settings.root, sendfile=settings.sendfile,
                                          group=group)]
    server, port = httpd(settings, name, load_python(settings)
                         + ["LoadModule wsgi_module " + file], lines + embedded_lines(settings))
    return Contestant(name, "mod_wsgi, embedded", port, mounts(settings), [server],
                      settings="event, 1 child, %d threads" % THREADS)


def mod_wsgi_daemon(settings):
    daemon = DAEMON.format(cores=CORES, sockets=settings.sockets)
    found = mod_wsgi(settings, "mod_wsgi-daemon", " process-group=bench",
                     [daemon, "WSGIProcessGroup bench"])
    if isinstance(found, Contestant):
        found.title = "mod_wsgi, daemon"
        found.settings = "processes=%d threads=16" % CORES
    return found


def gunicorn_command(settings):
    """The one of the home if it is there, else the one on the PATH."""
    if settings.imports("gunicorn"):
        return [settings.python(), "-m", "gunicorn"]
    path = shutil.which("gunicorn")
    return [path] if path else None


def gunicorn_server(settings, name, bind):
    """gthread: the only one of its workers with keep-alive and threads."""
    command = gunicorn_command(settings)
    if not command:
        return None
    apps = os.path.join(settings.root, "apps")
    path = ",".join([apps] + ([settings.site_packages()] if settings.home else []))
    command += ["--bind", bind, "--worker-class", "gthread", "--workers", str(CORES),
                "--threads", "16", "--keep-alive", "60", "--pythonpath", path,
                "--log-level", "warning", "--chdir", apps, "together:application"]
    return Server(name, command, directory(settings, name), as_user=True)


def gunicorn(settings):
    port = free_port()
    server = gunicorn_server(settings, "gunicorn", "127.0.0.1:%d" % port)
    if not server:
        return "no gunicorn"
    return Contestant("gunicorn", "gunicorn", port, mounts(settings), [server],
                      settings="gthread, workers=%d threads=16" % CORES)


def proxy(settings, name, module, target):
    """httpd that passes everything on."""
    modules = load_modules(settings, ["proxy", module])
    if len(modules) < 2:
        return None
    return httpd(settings, name, modules, ["ProxyPass / %s enablereuse=on" % target])


def gunicorn_proxy(settings):
    path = os.path.join(settings.sockets, "gunicorn")
    server = gunicorn_server(settings, "gunicorn-behind", "unix:" + path)
    front = proxy(settings, "gunicorn-proxy", "proxy_http", "unix:%s|http://localhost/" % path)
    if not server or not front:
        return "no gunicorn, or no mod_proxy_http"
    return Contestant("gunicorn-proxy", "gunicorn behind mod_proxy", front[1],
                      mounts(settings), [server, front[0]],
                      settings="the same over a unix socket; httpd: event, 1 child")


def uwsgi(settings):
    program = shutil.which("uwsgi")
    path = os.path.join(settings.sockets, "uwsgi")
    front = proxy(settings, "uwsgi-proxy", "proxy_uwsgi", "unix:%s|uwsgi://localhost/" % path)
    if not program or not front:
        return "no uwsgi, or no mod_proxy_uwsgi; Debian: uwsgi-core uwsgi-plugin-python3"
    apps = os.path.join(settings.root, "apps")
    command = [program, "--plugin", "python3", "--socket", path, "--chmod-socket=666",
               "--master", "--processes", str(CORES), "--threads", "16",
               "--listen", "128", "--disable-logging", "--need-app", "--die-on-term",
               "--single-interpreter", "--pythonpath", apps, "--module", "together:application"]
    if settings.home:
        command += ["--pythonpath", settings.site_packages()]
    server = Server("uwsgi", command, directory(settings, "uwsgi"), as_user=True)
    return Contestant("uwsgi", "uWSGI behind mod_proxy_uwsgi", front[1], mounts(settings),
                      [server, front[0]], settings="processes=%d threads=16" % CORES)


PEERS = {"mod_wsgi": mod_wsgi, "mod_wsgi-daemon": mod_wsgi_daemon, "gunicorn": gunicorn,
         "gunicorn-proxy": gunicorn_proxy, "uwsgi": uwsgi}

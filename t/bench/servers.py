# SPDX-License-Identifier: Apache-2.0
"""The servers of the benchmark: how each is configured, started, weighed, ended.

One httpd has ours, the bare handler and static files, so that these differ in
nothing else. Each peer has its own processes, with its best settings that are
known to us (peers.py). All listen on 127.0.0.1 or a unix socket in the scratch directory.
"""

import grp
import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))
THREADS = 128  # of httpd's child; no workload has as many connections
CORES = len(os.sched_getaffinity(0))
START = 60  # seconds that a server may take until it answers

HTTPD = """\
ServerRoot {dir}
PidFile {dir}/pid
Listen 127.0.0.1:{port}
ServerName localhost
ErrorLog {dir}/error_log
LogLevel warn
{modules}
{user}
StartServers 1
ServerLimit 1
ThreadLimit {threads}
ThreadsPerChild {threads}
MaxRequestWorkers {threads}
MinSpareThreads 1
MaxSpareThreads {threads}
MaxKeepAliveRequests 0
KeepAliveTimeout 60
DefaultRuntimeDir {dir}
DocumentRoot {root}/htdocs
EnableMMAP {mmap}
EnableSendfile {sendfile}
<Directory />
    AllowOverride None
    Require all granted
</Directory>
"""

OURS = """\
WSGIScriptAlias /wsgi {root}/apps/plain.py
WSGIScriptAlias /second {root}/apps/plain.py
WSGIEnableSendfile {sendfile}
<Location /bare>
    SetHandler bare
</Location>
"""

POOL = """\
<WSGIInterpreter pool>
    WSGIInstances 2
</WSGIInterpreter>
"""
POOLED = "WSGIScriptAlias /pool/%s %s/apps/%s.py application-group=pool\n"

@dataclass
class Settings:
    """What the command line says, and where things are."""

    root: str  # scratch directory
    module: str
    httpd: str
    apxs: str
    home: str = ""  # a virtual environment or a prefix of Python
    libpython: str = ""  # loaded in place of the linked one
    mmap: str = "on"
    sendfile: str = "off"
    sockets: str = ""  # directory of the peers' unix sockets: its name may not be long
    frameworks: tuple = ()  # of flask and django, what the home has

    def query(self, name):
        return subprocess.check_output([self.apxs, "-q", name], text=True).strip()

    def python(self):
        path = os.path.join(self.home, "bin", "python3")
        return path if self.home and os.path.exists(path) else sys.executable

    def say(self, code):
        return subprocess.check_output([self.python(), "-c", code], text=True).strip()

    def site_packages(self):
        return self.say("import sysconfig; print(sysconfig.get_path('purelib'))")

    def imports(self, name):
        return subprocess.call([self.python(), "-c", "import " + name],
                               stderr=subprocess.DEVNULL) == 0


@dataclass
class Server:
    """Processes of one kind: the first one and its descendants."""

    name: str
    command: list
    dir: str
    as_user: bool = False  # start it as the user of httpd's children
    process: object = None

    def start(self):
        options = {}
        if self.as_user and os.geteuid() == 0:
            options = {"user": user().pw_uid, "group": user().pw_gid, "extra_groups": []}
        log = open(os.path.join(self.dir, "output"), "wb")
        environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", HOME=self.dir)
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                        stderr=log, cwd=self.dir, env=environment, **options)
        log.close()

    def family(self):
        return descendants(self.process.pid)

    def stop(self):
        """TERM to the first; what is left after 10 s is killed."""
        if not self.process:
            return
        pids = self.family()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def last_words(self):
        texts = []
        for name in ("error_log", "output"):
            path = os.path.join(self.dir, name)
            if os.path.exists(path):
                with open(path, errors="replace") as file:
                    texts.append(file.read()[-2000:])
        return "\n".join(texts)


@dataclass
class Contestant:
    """What a load is sent to: a port and the paths of applications there."""

    name: str
    title: str
    port: int
    mounts: dict
    servers: list = field(default_factory=list)
    only: tuple = ()  # names of workloads; () is all
    settings: str = ""  # for the report

    def does(self, workload):
        return (not self.only or workload.name in self.only) \
            and workload.apps() <= set(self.mounts)

    def pids(self):
        return [pid for server in self.servers for pid in server.family()]

    def ask(self, request):
        """(status, body) of one request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST" if request.body else "GET", request.target(self.mounts),
                               request.body or None, request.headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ask_often(self, request, count):
        """So many over one connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        for _ in range(count):
            connection.request("GET", request.target(self.mounts))
            connection.getresponse().read()
        connection.close()

    def wait(self, request):
        """Until it answers 200; '' or why not. A 500 stays."""
        end = time.monotonic() + START
        why = "no answer"
        while time.monotonic() < end:
            try:
                status, body = self.ask(request)
                if status == 200:
                    return ""
                why = "status %d: %s" % (status, body[:200].decode("latin-1"))
                if status == 500:
                    return why + self.servers[0].last_words()
            except (OSError, http.client.HTTPException) as error:
                why = repr(error)
            if any(server.process.poll() is not None for server in self.servers):
                return "it ended: " + self.servers[-1].last_words()
            time.sleep(0.1)
        return why + self.servers[0].last_words()


# ---- processes ----


def user():
    """Whom httpd's children run as."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def user_lines():
    if os.geteuid() != 0:
        return ""
    return "User %s\nGroup %s" % (user().pw_name, grp.getgrgid(user().pw_gid).gr_name)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def children():
    """parent -> pids, of all processes."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name) as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            found.setdefault(parent, []).append(int(name))
    return found


def descendants(pid):
    """A process and all below it."""
    of = children()
    pids = [pid]
    for parent in pids:
        pids += of.get(parent, [])
    return pids


def memory(pids):
    """Sums of RSS and PSS (shared pages in parts) in KB."""
    sums = {"Rss": 0, "Pss": 0}
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid) as file:
                for line in file:
                    key, _, rest = line.partition(":")
                    if key in sums:
                        sums[key] += int(rest.split()[0])
        except OSError:
            continue
    return sums


# ---- what has to be built and written first ----


def build(source, target, flags):
    compiler = os.environ.get("CC", "gcc").split()
    subprocess.check_call(compiler + ["-O2", "-D_GNU_SOURCE", "-o", target,
                                      os.path.join(HERE, source)] + flags)
    return target


def build_bare(settings):
    flags = ["-fPIC", "-shared"] + settings.query("CFLAGS").split()
    flags += ["-I" + settings.query(name) for name in ("INCLUDEDIR", "APR_INCLUDEDIR")]
    return build("mod_bare.c", os.path.join(settings.root, "mod_bare.so"), flags)


def build_load(settings):
    return build("load.c", os.path.join(settings.root, "load"), [])


def prepare(settings):
    """The files that all servers share."""
    os.chmod(settings.root, 0o755)
    static = os.path.join(settings.root, "htdocs", "static")
    os.makedirs(static)
    for name in ("bytes", "file"):
        with open(os.path.join(static, name), "wb") as file:
            file.write(b"x" * (1 << 20))
    shutil.copytree(os.path.join(HERE, "apps"), os.path.join(settings.root, "apps"))
    build_bare(settings)


def directory(settings, name):
    path = os.path.join(settings.root, name)
    os.makedirs(path)
    give(path)
    return path


def give(path):
    """To the user of httpd's children."""
    if os.geteuid() == 0:
        os.chown(path, user().pw_uid, user().pw_gid)


# ---- httpd with something in it ----


def load_modules(settings, names):
    """LoadModule lines of httpd's own modules that are shared objects."""
    libexec = settings.query("LIBEXECDIR")
    return ["LoadModule %s_module %s/mod_%s.so" % (name, libexec, name)
            for name in names if os.path.exists("%s/mod_%s.so" % (libexec, name))]


def home_lines(settings):
    """Another libpython needs the prefix that it belongs to, for its modules."""
    if not settings.home:
        return []
    if not settings.libpython:
        return ["WSGIPythonHome " + settings.home]
    return ["WSGIPythonHome " + settings.say("import sys; print(sys.base_prefix)"),
            "WSGIPythonPath " + settings.site_packages()]


def embedded_lines(settings):
    """Lines of a module that runs Python in httpd, ours and mod_wsgi's alike."""
    aliases = ["WSGIScriptAlias /%s %s/apps/%sapp.py" % (name, settings.root, name)
               for name in settings.frameworks]
    return home_lines(settings) + aliases


def load_python(settings):
    return ["LoadFile " + settings.libpython] if settings.libpython else []


def httpd(settings, name, modules, lines):
    """(server, port); modules: LoadModule lines, lines: the rest."""
    dir_ = directory(settings, name)
    port = free_port()
    values = {"dir": dir_, "root": settings.root, "port": port, "threads": THREADS,
              "mmap": settings.mmap, "sendfile": settings.sendfile, "user": user_lines(),
              "cores": CORES,
              "modules": "\n".join(load_modules(settings, ["mpm_event", "authz_core"]) + modules)}
    conf = os.path.join(dir_, "httpd.conf")
    with open(conf, "w") as file:
        file.write(HTTPD.format(**values))
        file.write("\n".join(lines).replace("{dir}", dir_) + "\n")
    return Server(name, [settings.httpd, "-D", "FOREGROUND", "-f", conf], dir_), port


def our_httpd(settings, name, lines):
    modules = load_python(settings)
    modules += ["LoadModule bare_module %s/mod_bare.so" % settings.root,
                "LoadModule polywsgi_module " + os.path.abspath(settings.module)]
    ours = OURS.format(root=settings.root, sendfile=settings.sendfile)
    return httpd(settings, name, modules, [ours] + embedded_lines(settings) + lines)


def knows_pools(settings):
    """Does this module take WSGIInstances?"""
    server, _ = our_httpd(settings, "probe", [POOL])
    return subprocess.call(server.command[:1] + ["-t"] + server.command[3:],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def pooled(settings):
    """app -> name of its script, of those in the pool."""
    return dict({"plain": "plain"}, **{name: name + "app" for name in settings.frameworks})


def pool_lines(settings):
    return [POOL] + [POOLED % (app, settings.root, script)
                     for app, script in pooled(settings).items()]


def mounts(settings):
    paths = {"plain": "/wsgi", "second": "/second"}
    return dict(paths, **{name: "/" + name for name in settings.frameworks})


def ours(settings):
    """Ours, the bare handler, static files, and a pool where there are pools."""
    pools = knows_pools(settings)
    server, port = our_httpd(settings, "ours", pool_lines(settings) if pools else [])
    found = [
        Contestant("ours", "mod_polywsgi", port, mounts(settings), [server],
                   settings="event, 1 child, %d threads, 1 instance each" % THREADS),
        Contestant("bare", "bare C handler", port, {"plain": "/bare"}, [server],
                   ("hello", "browser", "bytes", "upload"), "in the same httpd"),
        Contestant("static", "httpd's static file", port, {"plain": "/static"}, [server],
                   ("bytes", "file"), "in the same httpd; EnableMMAP %s, EnableSendfile %s"
                   % (settings.mmap, settings.sendfile)),
    ]
    if pools:
        found.insert(1, Contestant("pool", "mod_polywsgi, WSGIInstances 2", port,
                                   {app: "/pool/" + app for app in pooled(settings)},
                                   [server],
                                   ("hello", "json", "flask", "django", "io", "cpu1",
                                    "cpu10", "mix"),
                                   "in the same httpd"))
    return found

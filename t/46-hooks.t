# SPDX-License-Identifier: Apache-2.0
# What an application wants called at its start and at its end: polywsgi.on_start
# and on_stop, and mod_wsgi.subscribe_shutdown.
use PWTest;
use PWTest::Server;

# Each line that an application says is one of the file `said`: "PID WORDS".
my $HEAD = <<'END';
import atexit, os, sys, threading
import mod_wsgi, polywsgi
def say(words):
    with open(os.path.join("@VAR@", "said"), "a") as f:
        f.write("%d %s\n" % (os.getpid(), words))
def raiser():
    raise ValueError("on purpose")
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
END

sub server {
    my ($name, $conf) = @_;
    return PWTest::Server->new(name => "hooks-$name", conf => $conf);
}

# The source below the head, as an application of the server.
sub app {
    my ($s, $name, $source) = @_;
    return $s->app("$name.py", $HEAD =~ s/\@VAR\@/$s->{dir}\/var/r . $source);
}

# What was said, by the process that said it: its words in their order.
sub said {
    my ($s) = @_;
    my $file = "$s->{dir}/var/said";
    my %of;
    for (split /\n/, -f $file ? read_text($file) : '') {
        my ($pid, $words) = /^(\d+) (.*)$/ or die "not whole: $_";
        push @{ $of{$pid} }, $words;
    }
    return \%of;
}

announce(qr/PW015\d/, qr/PW0201/);
# threading of 3.13 and before clears up after dummy threads when its own names are
# gone (_DeleteDummyThreadOnDel).
announce(qr/PW0501/) if !python_at_least(14);
my $own_gil = python_at_least(13);
my @kinds = ($own_gil ? 'own-gil' : (), qw(shared-gil main));

# ---- order, and what the modules say of themselves ----

my $ALL = <<'END';
import json
seen = []
@polywsgi.on_start
def first():
    say("start 1")
polywsgi.on_start(raiser)
@polywsgi.on_start
def second():
    polywsgi.on_start(lambda: say("start of a start"))
    say("start 2")
stopping = threading.Event()
worker = threading.Thread(target=stopping.wait)
worker.start()
threading._register_atexit(say, "threads")
@atexit.register
def too_late():
    for late in (polywsgi.on_stop, mod_wsgi.subscribe_shutdown, mod_wsgi.subscribe_events):
        try:
            late(raiser)
        except RuntimeError:
            say("too late")
atexit.register(say, "atexit")
@polywsgi.on_stop
def stop_worker():
    stopping.set()
    worker.join()
    say("joined on_stop")
polywsgi.on_stop(raiser)
@polywsgi.on_stop
def last():
    polywsgi.on_stop(lambda: say("stop of a stop"))
    say("last on_stop")
@mod_wsgi.subscribe_shutdown
def stopped(event, **kwds):
    say("%s %s" % (event, sorted(kwds)))
@mod_wsgi.subscribe_events
def noted(event, **kwds):
    say("noted %s" % event)
say("import")
def application(environ, start_response):
    raised = []
    for call in (polywsgi.on_start, polywsgi.on_stop, mod_wsgi.subscribe_shutdown):
        try:
            call("no callable")
        except TypeError:
            raised.append(call.__name__)
    try:
        polywsgi.on_start(raiser)
    except ValueError as error:
        raised.append(str(error))
    try:
        __import__("mod_wsgi.server")
    except ImportError as error:
        raised.append(type(error).__name__)
    hook = lambda: seen.append(1)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({
        "returned": polywsgi.on_start(hook) is hook, "at once": len(seen),
        "first": first.__name__, "raised": raised,
        "polywsgi": [polywsgi.interpreter, polywsgi.isolation, polywsgi.instance],
        "mod_wsgi": {name: getattr(mod_wsgi, name) for name in dir(mod_wsgi)
                     if name[0] != "_" and not callable(getattr(mod_wsgi, name))},
    }).encode()]
END
my @WORDS = ('import', 'start 1', 'start 2', 'start of a start',
    "process_stopping ['shutdown_reason']", 'noted process_stopping', 'last on_stop',
    'stop of a stop', 'joined on_stop', 'threads', 'atexit', ('too late') x 3);

cases(sub {
    my ($case) = @_;
    my $kind = $case->{name};
    my $s = server($kind, <<"END_CONF");
<WSGIInterpreter it>
    WSGIIsolation $kind
</WSGIInterpreter>
WSGIScriptAlias / \@DIR\@/apps/all.py interpreter=it
END_CONF
    app($s, 'all', $ALL);
    ok($s->start, 'started') or return;
    my $is = $s->get_json('/');
    is_deeply([ $is->{returned} ? 1 : 0, $is->{first} ], [1, 'first'], 'they are decorators');
    is($is->{'at once'}, 1, 'a start hook of a request is called at once');
    is_deeply($is->{raised},
        [qw(on_start on_stop subscribe_shutdown), 'on purpose', 'ModuleNotFoundError'],
        'what they raise');
    is_deeply($is->{polywsgi}, ['it', $kind, 1], 'polywsgi tells where one is');
    is_deeply($is->{mod_wsgi}, {
        version => [6, 0, 0], process_group => '',
        application_group => $kind eq 'main' ? '' : 'it',
        maximum_processes => threaded() ? 1 : 4,
        threads_per_process => threaded() ? 16 : 1,
    }, 'and mod_wsgi in its words');
    my $took = $s->stop;
    cmp_ok($took, '<', 3.5, sprintf 'the end took %.1f s', $took);
    my $of = said($s);
    is_deeply($of->{$_}, \@WORDS, "each hook once, in order (child $_)") for sort keys %$of;
    my $children = keys %$of;
    for my $code (qw(PW0150 PW0151)) {
        is(scalar $s->lines(qr/$code .*\braiser of .*ValueError: on purpose/), $children,
            "$code tells of the one that raised, once in a child");
    }
    is(scalar $s->lines(qr/PW015[01] .*\| .*in raiser/), 2 * $children,
        'with its traceback');
}, map { { name => $_ } } @kinds);

# ---- why it ends ----

cases(sub {
    my ($case) = @_;
    my $s = server($case->{name}, 'WSGIScriptAlias / @DIR@/apps/why.py');
    app($s, 'why', <<'END_APP');
@mod_wsgi.subscribe_shutdown
def why(event, *, shutdown_reason):
    say(shutdown_reason)
END_APP
    ok($s->start, 'started') or return;
    is($s->get('/')->{status}, 200, 'it answers');
    PWTest::wait_until_quiet($s->{port});
    $s->signal($case->{signal});
    ok(wait_for { !$s->alive }, 'httpd ends');
    $s->judge;
    my $of = said($s);
    # prefork ends its children in one way.
    my $reason = threaded() ? qr/^$case->{reason}$/ : qr/^(?:shutdown|graceful)_signal$/;
    for my $pid (sort keys %$of) {
        is(scalar @{ $of->{$pid} }, 1, "once (child $pid)");
        like($of->{$pid}[0], $reason, 'it is told');
    }
    cmp_ok(scalar keys %$of, '>=', 1, 'a child said so');
}, { name => 'stop', signal => 'TERM', reason => 'shutdown_signal' },
   { name => 'graceful-stop', signal => 'WINCH', reason => 'graceful_signal' });

# ---- a hook that hangs ----

cases(sub {
    my ($case) = @_;
    my $s = server("hang-$case->{name}", <<"END_CONF");
WSGIShutdownTimeout 4
WSGIScriptAlias /bad \@DIR\@/apps/bad.py application-group=$case->{group}
WSGIScriptAlias /good \@DIR\@/apps/good.py
END_CONF
    app($s, 'bad', <<"END_APP");
import time
polywsgi.on_stop(lambda: say("bad 1"))
\@polywsgi.on_stop
def hangs():
$case->{hang}
polywsgi.on_stop(lambda: say("bad 2"))
atexit.register(say, "bad atexit")
END_APP
    app($s, 'good', 'polywsgi.on_stop(lambda: say("good"))');
    ok($s->start, 'started') or return;
    is($s->get("/$_")->{status}, 200, "/$_ answers") for qw(bad good);
    my $took = $s->stop(limit => 25);
    ok(defined $took, 'httpd ended by itself') or return;
    cmp_ok($took, '<', 5.5, sprintf 'after %.1f s', $took);
    my $of = said($s);
    for my $pid (keys %$of) {
        is_deeply([grep { /bad/ } @{ $of->{$pid} }], ['bad 2', 'bad 1', 'bad atexit'],
            'the others and atexit ran');
        is_deeply([grep { /good/ } @{ $of->{$pid} }], ['good'], 'and those beside');
    }
    my $late = qr/PW0152 .*the hook hangs of its end has not returned within \d+ ms/;
    is(scalar $s->lines($late), scalar keys %$of, 'the record names it');
}, { name => 'asleep', group => 'bad', hang => '    time.sleep(3600)' },
   { name => 'busy', group => 'bad', hang => "    while True:\n        pass" },
   { name => 'main', group => '%{GLOBAL}', hang => '    threading.Event().wait()' });

# ---- threads, requests, several applications in one interpreter ----

subtest 'from threads and requests' => sub {
    my $s = server('threads', <<'END_CONF');
WSGIScriptAlias /one @DIR@/apps/one.py application-group=both
WSGIScriptAlias /two @DIR@/apps/two.py application-group=both
END_CONF
    app($s, 'one', <<'END_APP');
polywsgi.on_start(lambda: say("one starts"))
def register():
    for n in range(50):
        polywsgi.on_stop(lambda: say("of a thread"))
threads = [threading.Thread(target=register) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
END_APP
    app($s, 'two', <<'END_APP');
polywsgi.on_start(lambda: say("two starts"))
inner = application
def application(environ, start_response):
    polywsgi.on_stop(lambda: say("of a request"))
    polywsgi.on_start(lambda: say("in a request"))
    return inner(environ, start_response)
END_APP
    ok($s->start, 'started') or return;
    is($s->get("/$_")->{status}, 200, "/$_ answers") for qw(one two two);
    $s->stop;
    my %count;
    my $of = said($s);
    $count{$_}++ for map { @$_ } values %$of;
    my $children = keys %$of;
    is_deeply(\%count, { 'one starts' => $children, 'two starts' => $children,
        'in a request' => 2, 'of a request' => 2, 'of a thread' => 400 * $children },
        'each once');
};

# ---- an instance ends, and its child lives on ----

# What an application has running is stopped by its hooks, and none of it stays;
# the next instance has its own. reason: the word of mod_wsgi for it.
cases(sub {
    my ($case) = @_;
    my $s = server("living-$case->{name}", <<"END_CONF");
<WSGIInterpreter pool>
    $case->{conf}
</WSGIInterpreter>
WSGIScriptAlias / \@DIR\@/apps/pool.py interpreter=pool
END_CONF
    app($s, 'pool', <<'END_APP');
import asyncio
from concurrent.futures import ThreadPoolExecutor
me = "%s %d: " % (polywsgi.interpreter, polywsgi.instance)
stopping = threading.Event()
pool = ThreadPoolExecutor(1)
timer = threading.Timer(3600, print)
loop = asyncio.new_event_loop()
looping = threading.Thread(target=loop.run_forever, daemon=True)
threads = lambda: sum(not isinstance(t, (threading._MainThread, threading._DummyThread))
                      for t in threading.enumerate())
@polywsgi.on_start
def start():
    pool.submit(stopping.wait)
    timer.start()
    looping.start()
    say(me + "start, then %d threads" % threads())
@polywsgi.on_stop
def ended():
    say(me + "end, then %d threads" % threads())
@polywsgi.on_stop
def stop():
    say(me + "stop, with %d threads" % threads())
    stopping.set()
    pool.shutdown()
    timer.cancel()
    timer.join()
    loop.call_soon_threadsafe(loop.stop)
    looping.join()
    loop.close()
mod_wsgi.subscribe_shutdown(lambda event, shutdown_reason: say(me + shutdown_reason))
atexit.register(say, me + "atexit")
END_APP
    ok($s->start, 'started') or return;
    my $pid = $s->get('/')->{body};
    my $of  = sub {
        my ($number) = @_;
        return [ map { /^pool $number: (.*)/ ? $1 : () } @{ said($s)->{$pid} || [] } ];
    };
    my $bad = 0;
    ok(wait_for {
        $bad++ if $case->{asks} && $s->get('/')->{body} ne $pid;
        grep { /atexit/ } @{ $of->(1) };
    }, 'the first instance has ended');
    is($bad, 0, 'every request was served, by the same child');
    is_deeply($of->(1), [ 'start, then 3 threads', $case->{reason}, 'stop, with 3 threads',
        'end, then 0 threads', 'atexit' ], 'its hooks, and what ran then');
    ok(wait_for { $s->lines(qr/pool: instance 1 has ended/) }, 'nothing of it is left');
    is($s->get('/')->{body}, $pid, 'the child lives on');
    is($of->(2)->[0], 'start, then 3 threads', 'with an instance of its own number');
    ok(defined $s->stop, 'httpd ends');
    is_deeply([ $s->lines(qr/PW0105/) ], [], 'nothing was left in memory');
}, { name => 'renewed', conf => 'WSGIMaxRequests 10', asks => 1, reason => 'maximum_requests' },
    { name => 'idle', conf => 'WSGIIdleTimeout 1', reason => 'inactivity_timeout' })
    if $own_gil && threaded();

# ---- a load that fails ----

# The second load is in a fresh interpreter where there can be one, and the first
# one ends while the child lives; else it is in place.
cases(sub {
    my ($case) = @_;
    my $s = server("fails-$case->{name}",
        "WSGIScriptAlias / \@DIR\@/apps/fails.py application-group=$case->{group}");
    my $source = <<'END_APP';
number = polywsgi.instance
polywsgi.on_start(lambda: say("start %d" % number))
polywsgi.on_stop(lambda: say("stop %d" % number))
mod_wsgi.subscribe_shutdown(lambda event, shutdown_reason: say(shutdown_reason))
atexit.register(say, "atexit")
END_APP
    app($s, 'fails', "${source}raiser()\n");
    ok($s->start, 'started') or return;
    is($s->get('/')->{status}, 500, 'it does not load');
    ok(wait_for { scalar $s->lines(qr/PW0201/) }, 'it is in the log');
    app($s, 'fails', $source);
    my $pid;
    ok(wait_for { my $a = $s->get('/'); $pid = $a->{body}; $a->{status} == 200 }, 'mended');
    my @stops = ('script_reload', 'stop 1', 'atexit', 'shutdown_signal', 'stop 2', 'atexit');
    my $start = 'start 2';
    if ($case->{fresh}) {
        ok(wait_for { grep { /atexit/ } @{ said($s)->{$pid} || [] } },
            'the first one has ended, and the child lives');
        is($s->get('/')->{body}, $pid, 'it is the same child') if threaded();
    }
    else {
        $start = 'start 1';
        @stops = map { ($_) x 2 } 'shutdown_signal', 'stop 1', 'atexit';
    }
    $s->stop;
    my @got = @{ said($s)->{$pid} };
    is_deeply([grep { /start/ } @got], [$start], 'no start of what failed') or diag("@got");
    is_deeply([grep { !/start/ } @got], \@stops, 'but its end');
}, ($own_gil ? { name => 'fresh', group => 'own', fresh => 1 } : ()),
   { name => 'in-place', group => '%{GLOBAL}' });

finish();

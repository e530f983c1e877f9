# SPDX-License-Identifier: Apache-2.0
# Threads that libraries leave behind, when an interpreter ends in a child that
# lives on and when a child ends: nothing crashes, the child goes on, and what
# cannot be ended is left as it is and counted.
use PWTest;
use PWTest::Server;

# It takes a minute, and its threads know nothing of the MPM.
plan skip_all => 'once, under event, is enough' if mpm() ne 'event';

# Uses what the code has started; said to be used by the load and by requests.
my $HEAD = <<'END';
import atexit, os, sys, threading, time
import polywsgi
def say(words):
    with open(os.path.join("@VAR@", "said"), "a") as f:
        f.write("%d @NAME@ %s\n" % (os.getpid(), words))
atexit.register(say, "atexit")
def daemon(target, *args):
    threading.Thread(target=target, args=args, daemon=True).start()
END
my $TAIL = <<'END';

use()
def application(environ, start_response):
    use()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
if not os.path.exists("@VAR@/@NAME@.go"):
    raise RuntimeError("not yet")
END

# parks: nothing ends its thread but the end of the process. needs: a package.
# since: 3.11 takes the event loop of one interpreter for another's.
my @table = (
    { name => 'nothing', code => 'def use(): pass' },
    { name => 'sentry', needs => 'sentry_sdk', code => <<'END' },
import logging, sentry_sdk
sentry_sdk.init(dsn="http://key@127.0.0.1:@CLOSED@/1", shutdown_timeout=0.3,
                traces_sample_rate=1.0)
def use():
    sentry_sdk.capture_message("used")
    with sentry_sdk.start_transaction(name="used"):
        pass
END
    { name => 'pymongo', needs => 'pymongo', code => <<'END' },
import pymongo
client = pymongo.MongoClient("127.0.0.1", @CLOSED@, serverSelectionTimeoutMS=50)
def use():
    try:
        client.admin.command("ping")
    except pymongo.errors.ServerSelectionTimeoutError:
        assert any("pymongo" in t.name for t in threading.enumerate())
END
    { name => 'executor', code => <<'END' },
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(4)
def use():
    assert sum(pool.map(abs, range(8))) == 28
END
    { name => 'timer', parks => 1, code => <<'END' },
timer = threading.Timer(3600, print)
timer.start()
def use():
    assert timer.is_alive()
END
    { name => 'timer-hook', code => <<'END' },
timer = threading.Timer(3600, print)
timer.start()
polywsgi.on_stop(timer.cancel)
def use():
    assert timer.is_alive()
END
    { name => 'asyncio', parks => 1, code => <<'END' },
import asyncio
loop = asyncio.new_event_loop()
daemon(loop.run_forever)
async def one():
    await asyncio.sleep(0)
    return 1
def use():
    assert asyncio.run_coroutine_threadsafe(one(), loop).result(20) == 1
END
    { name => 'asyncio-hook', since => 12, code => <<'END' },
import asyncio
loop = asyncio.new_event_loop()
thread = threading.Thread(target=loop.run_forever, daemon=True)
thread.start()
@polywsgi.on_stop
def stop():
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
async def one():
    await asyncio.sleep(0)
    return 1
def use():
    assert asyncio.run_coroutine_threadsafe(one(), loop).result(20) == 1
END
    { name => 'raw', code => <<'END' },
import _thread
def run():
    while True:
        time.sleep(0.02)
_thread.start_new_thread(run, ())
def use(): pass
END
    { name => 'sleep', parks => 1, code => <<'END' },
daemon(time.sleep, 3600)
def use(): pass
END
    { name => 'accept', parks => 1, code => <<'END' },
import socket
listener = socket.create_server(("127.0.0.1", 0))
daemon(listener.accept)
def use(): pass
END
    { name => 'queue', parks => 1, code => <<'END' },
import queue
jobs, results = queue.Queue(), queue.Queue()
def work():
    for job in iter(jobs.get, None):
        results.put(job + 1)
daemon(work)
def use():
    jobs.put(1)
    assert results.get(timeout=20) == 2
END
    { name => 'queue-hook', code => <<'END' },
import queue
jobs, results = queue.Queue(), queue.Queue()
def work():
    for job in iter(jobs.get, None):
        results.put(job + 1)
daemon(work)
polywsgi.on_stop(lambda: jobs.put(None))
def use():
    jobs.put(1)
    assert results.get(timeout=20) == 2
END
);
@table = grep { (!$_->{needs} || -d package_dir($_->{needs}))
    && python_at_least($_->{since} || 11) } @table;
# t/requirements.txt has no pymongo for 3.15.
cmp_ok(scalar(grep { $_->{needs} } @table), '>=', python_at_least(15) ? 1 : 2,
    'libraries of PyPI are among them');

sub package_dir {
    my ($name) = @_;
    return (glob "$ENV{PW_T_VENVS}/web/lib/python*/site-packages/$name")[0] // 'none';
}

# All of the table in one httpd, each in its own interpreter.
sub server {
    my ($name, $more) = @_;
    my $conf = ($more || '') . "\nWSGIShutdownTimeout 4\n" . join '', map {
        "<WSGIInterpreter $_->{name}>\nWSGIPythonHome \@VENVS\@/web\n</WSGIInterpreter>\n"
            . "WSGIScriptAlias /$_->{name} \@DIR\@/apps/$_->{name}.py"
            . " application-group=$_->{name}\n" } @table;
    my $s = PWTest::Server->new(name => "threads-$name", conf => $conf);
    my $closed = PWTest::Server::free_port();
    for my $case (@table) {
        my $source = $HEAD . $case->{code} . $TAIL;
        $source =~ s/\@VAR\@/$s->{dir}\/var/g;
        $source =~ s/\@NAME\@/$case->{name}/g;
        $source =~ s/\@CLOSED\@/$closed/g;
        $s->app("$case->{name}.py", $source);
    }
    return $s;
}

sub lets_load {
    my ($s, $name) = @_;
    write_text("$s->{dir}/var/$name.go", '');
    return;
}

# Has the instance that serves NAME end while its child lives: here one whose
# load has failed, with all that it had started. Another takes over.
sub end_instance {
    my ($s, $name) = @_;
    lets_load($s, $name);
    write_text("$s->{dir}/apps/$name.py", read_text("$s->{dir}/apps/$name.py") . "\n");
    return wait_for { $s->get("/$name")->{status} == 200 };
}

sub said {
    my ($s, $words) = @_;
    my $file = "$s->{dir}/var/said";
    return scalar grep { / \Q$words\E$/ } split /\n/, -f $file ? read_text($file) : '';
}

sub times_logged {
    my ($s, $words) = @_;
    return scalar $s->lines(qr/$words/);
}

# Each instance whose load has failed has ended or is left in memory.
sub all_over {
    my ($s) = @_;
    return times_logged($s, 'PW0201 .*cannot load')
        == times_logged($s, 'instance \d+ has ended|PW0105 ');
}

# Sum of a counter over the children.
sub counted {
    my ($s, $counter) = @_;
    my $sum = 0;
    $sum += $_ for map { /\b$counter=(\d+)/ } $s->lines(qr/PW0190/);
    return $sum;
}

sub no_crash {
    my ($s) = @_;
    my @signs = $s->lines(qr/AH0005[12]|Fatal Python|Segmentation|AH0004[67]/);
    is(scalar @signs, 0, 'no crash') or diag(@signs);
    return;
}

# pymongo goes on without its extension modules. AH00045: httpd asks again after 3 s.
announce(qr/PW0105/, qr/PW0201/, qr/PW0203 .*_c(?:bson|message) /, qr/PW050\d/, qr/PW019[12]/, qr/AH00491/, qr/AH00045/);

cases(sub {
    my ($case) = @_;
    plan skip_all => 'no interpreter ends before the child here' if !python_at_least(13);
    plan skip_all => 'one request at a time' if !threaded();
    my $s = server("living-$case->{kind}", "WSGIIsolation $case->{kind}");
    ok($s->start, 'started') or return;
    is($s->get("/$_->{name}")->{status}, 500, "$_->{name} has failed") for @table;
    my ($pid) = $s->children;
    ok(end_instance($s, $_->{name}), "another $_->{name} serves") for @table;
    my $over = wait_for { all_over($s) } 60;
    ok($over, 'every instance that has failed has ended or is left');
    ok(said($s, "$_->{name} atexit"), "atexit of $_->{name} ran") for @table;
    is($s->get("/$_->{name}")->{body}, $pid, "$_->{name}: the child lives on") for @table;
    ok(defined $s->stop(limit => 25), 'httpd ends by itself');
    # Some have failed twice, when the first request came after a second.
    my %failed = map { $_->{name} => times_logged($s, "PW0201 $_->{name} .*cannot load") } @table;
    my $parked = 0;
    for my $app (@table) {
        my $name = $app->{name};
        my $left = $app->{parks} ? $failed{$name} : 0;
        is(times_logged($s, "PW0105 $name: .* 1 of its threads do not stop"), $left,
            "$name: $left of $failed{$name} are left");
        $parked += $left;
    }
    is(counted($s, 'instances_parked'), $parked, 'what is left is counted');
    is(counted($s, 'instances_ended'), counted($s, 'load_failures') - $parked,
        'and so is what has ended');
    no_crash($s);
}, map { { name => "an interpreter ends in a living child, $_", kind => $_ } }
    qw(own-gil shared-gil));

subtest 'an instance gets a successor' => sub {
    plan skip_all => 'nothing is replaced' if !python_at_least(14) || !threaded();
    my $s = server('renewed', 'WSGIMaxRequests 5');
    lets_load($s, $_->{name}) for @table;
    ok($s->start, 'started') or return;
    my $pid = $s->get('/nothing')->{body};
    my ($bad, %over) = (0);
    # Until the first instance of each has ended, or is left.
    my $all = wait_for {
        for my $name (map { $_->{name} } @table) {
            $bad++ if $s->get("/$name")->{body} ne $pid;
            $over{$name} ||= times_logged($s, "PW0105 $name:| $name: instance 1 has ended");
        }
        @table == grep { $_ } values %over;
    } 60;
    ok($all, 'each has one') or diag(join ' ', grep { !$over{$_} } sort keys %over);
    is($bad, 0, 'every request was served, by the one child');
    ok(defined $s->stop(limit => 25), 'httpd ends by itself');
    # Not what was ending when the child did: it may take 15 s else.
    my $parked = 0;
    for my $app (@table) {
        my $left = times_logged($s, "PW0105 $app->{name}: .* 1 of its threads do not stop");
        is(!!$left, !!$app->{parks}, "$app->{name}: left in memory, or ended");
        $parked += $left;
    }
    is(counted($s, 'instances_parked'), $parked, 'what is left is counted');
    no_crash($s);
};

cases(sub {
    my ($case) = @_;
    my $s = server($case->{name});
    lets_load($s, $_->{name}) for @table;
    ok($s->start, 'started') or return;
    is($s->get("/$_->{name}")->{status}, 200, "$_->{name} serves") for @table;
    PWTest::wait_until_quiet($s->{port});
    my $from = time;
    $s->signal($case->{signal});
    ok(wait_for { !$s->alive }, 'httpd ends by itself');
    cmp_ok(time - $from, '<=', 8, sprintf 'after %d s', time - $from);
    is($s->{status}, 0, 'with status 0');
    $s->judge;
    ok(said($s, "$_->{name} atexit"), "atexit of $_->{name} ran") for @table;
    no_crash($s);
}, { name => 'graceful', signal => 'WINCH' }, { name => 'stop', signal => 'TERM' });

finish();

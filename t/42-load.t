# SPDX-License-Identifier: Apache-2.0
# Applications that do not load, or not yet.
use PWTest;
use PWTest::Server;

my $GOOD = <<'END';
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"good %d" % os.getpid()]
END
my $server = PWTest::Server->new(name => 'load', conf => <<'END');
WSGIStartupTimeout 60
WSGIScriptAlias /good @DIR@/apps/good.py
WSGIScriptAlias /broken @DIR@/apps/broken.py
WSGIScriptAlias /syntax @DIR@/apps/syntax.py
WSGIScriptAlias /leaves @DIR@/apps/leaves.py
WSGIScriptAlias /missing @DIR@/apps/missing.py
WSGIScriptAlias /closed @DIR@/apps/closed.py
WSGIScriptAlias /nothing @DIR@/apps/nothing.py
WSGIScriptAlias /slow @DIR@/apps/slow.py
WSGIScriptAlias /late @DIR@/apps/late.py
WSGIScriptAlias /refused @DIR@/apps/refused.py
WSGIScriptAlias /shared/good @DIR@/apps/good.py application-group=shared
WSGIScriptAlias /shared/broken @DIR@/apps/broken.py application-group=shared
WSGIApplication /module no.such.module:app
<WSGIInterpreter late>
    WSGIStartupTimeout 1
</WSGIInterpreter>
WSGIScriptAlias /late @DIR@/apps/late.py interpreter=late
WSGIScriptAlias /toolate @DIR@/apps/late.py interpreter=late
END
$server->app('good.py', $GOOD);
$server->app('broken.py', "import os\ndef f():\n    raise ValueError('broken on purpose')\nf()\n");
$server->app('syntax.py', "def application(:\n");
$server->app('leaves.py', "import sys\nsys.exit('leaving at import')\n");
$server->app('nothing.py', "not_it = 1\n");
my $closed = $server->app('closed.py', $GOOD);
chmod 0000, $closed;
my $wait = <<'END';
import os, time
end = time.monotonic() + 40
while not os.path.exists("%s") and time.monotonic() < end:
    time.sleep(0.02)
END
my $var = "$server->{dir}/var";
$server->app('slow.py', sprintf($wait, "$var/slow.go") . $GOOD);
$server->app('late.py', sprintf($wait, "$var/late.go") . $GOOD);
# A module of the standard library that takes no interpreter with a GIL of its
# own, on any version that has them.
$server->app('refused.py', <<"END" . $GOOD);
import importlib
for name in ("readline", "_curses", "_tkinter", "_dbm", "_gdbm", "faulthandler"):
    try:
        __import__(name)
    except ImportError as e:
        if "subinterpreter" in str(e):
            raise
END

announce(qr/PW00\d\d.*(?:missing|closed)\.py/, qr/PW0201/, qr/PW0202/, qr/PW0203/,
    qr/PW030\d/);
ok($server->start, 'it starts, whatever its applications do');
is($server->get('/good')->{status}, 200, 'the good one answers');

my @table = (
    { name => 'an exception at import', path => '/broken', status => 500,
      log => qr{PW0201 [^ ]*\|/broken: .*broken on purpose},
      trace => qr{PW0201 [^ ]*\|/broken: .*line 3, in f} },
    { name => 'a syntax error', path => '/syntax', status => 500,
      log => qr/PW0201.*SyntaxError/ },
    { name => 'SystemExit at import', path => '/leaves', status => 500,
      log => qr/PW0201.*SystemExit.*leaving at import/ },
    { name => 'no callable', path => '/nothing', status => 500,
      log => qr/PW0201.*application/ },
    { name => 'no such module', path => '/module', status => 500,
      log => qr/PW0201.*No module named/ },
    { name => 'a missing script', path => '/missing', status => 503,
      log => qr/PW0202.*missing\.py/ },
);
push @table, { name => 'an unreadable script', path => '/closed',
    status => 503, log => qr/PW0202.*closed\.py.*[Pp]ermission/ };
cases(sub {
    my ($case) = @_;
    my $count = sub { scalar grep { !/ \| / } $server->lines($case->{log}) };
    is($server->get($case->{path})->{status}, $case->{status},
        "answers $case->{status}");
    my $before = $count->();
    cmp_ok($before, '>=', 1, 'it is in the log');
    my @status = map { $server->get($case->{path})->{status} } 1 .. 9;
    is("@status", join(' ', ($case->{status}) x 9), 'and again');
    is($server->get('/good')->{status}, 200, 'the good one answers');
    # It may have been tried again meanwhile, but not for each request.
    cmp_ok($count->() - $before, '<=', 2, 'not logged for each request');
    is(scalar $server->lines($case->{trace}), $count->(),
        'each time with its traceback') if $case->{trace};
}, @table);

subtest 'a missing script is a warning of the start' => sub {
    my @found = $server->lines(qr/:warn\].*PW00\d\d.*missing\.py/);
    cmp_ok(scalar @found, '>=', 1, 'it is');
};

my $own_gil = python_at_least(13);
my $pid = ($server->get('/good')->{body} =~ /(\d+)/)[0];
subtest 'mended scripts serve' => sub {
    $server->app("$_.py", $GOOD) for qw(broken syntax leaves missing nothing);
    chmod 0644, $closed;
    for my $path (qw(broken syntax leaves missing nothing closed)) {
        my $ok = wait_for { $server->get("/$path")->{status} == 200 };
        ok($ok, "/$path");
    }
    my $ok = wait_for { $server->get('/shared/broken')->{status} == 200 };
    ok($ok, 'and where another application shares the interpreter');
    is(($server->get('/good')->{body} =~ /(\d+)/)[0], $pid,
        'in the same process') if threaded();
    my @fresh = $server->lines(qr/PW0201 [^|]*\|\/broken.*fresh/);
    my @place = $server->lines(qr/PW0201.*in place/);
    if ($own_gil) {
        cmp_ok(scalar @fresh, '>=', 1, 'the record tells of a fresh interpreter');
    }
    cmp_ok(scalar @place, '>=', 1, 'a shared one is tried in place, it says');
};

subtest 'a request waits while its application loads' => sub {
    my $conn = $server->connect;
    $conn->send(PWTest::HTTP::head(path => '/slow',
        headers => [ Connection => 'close' ]));
    ok(!$conn->ready(0.3), 'no answer yet');
    is($server->get('/good')->{status}, 200, 'others answer meanwhile');
    write_text("$var/slow.go", '');
    my $a = $conn->response;
    is($a->{status}, 200, 'then it comes');
    $conn->close;
};

subtest 'not longer than WSGIStartupTimeout' => sub {
    my $a = $server->get('/toolate');
    is($a->{status}, 503, 'answered 503');
    ok($a->{h}{'retry-after'}, 'with Retry-After');
    is($server->get('/good')->{status}, 200, 'others answer');
    write_text("$var/late.go", '');
    ok(wait_for { $server->get('/toolate')->{status} == 200 }, 'later it serves');
};

subtest 'an extension that refuses is named' => sub {
    plan skip_all => 'no own-gil here' if !$own_gil;
    my $a = $server->get('/refused');
    plan skip_all => 'no module of the library refuses' if $a->{status} == 200;
    is($a->{status}, 500, 'answered 500');
    my @named = $server->lines(qr/PW0203.*extension module \w+.*application-group=%\{GLOBAL\}/);
    ok(scalar @named, 'with the mend') or
        diag(join "\n", $server->lines(qr/refused/));
};
$server->stop;

subtest 'a failed load is tried again after a delay, without a change' => sub {
    my $s = PWTest::Server->new(name => 'retry',
        conf => 'WSGIScriptAlias / @DIR@/apps/a.py');
    write_text("$s->{dir}/apps/helper.py", "raise RuntimeError('not yet')\n");
    $s->app('a.py', "import sys\nsys.path.insert(0, '$s->{dir}/apps')\n"
        . "import helper\n$GOOD");
    ok($s->start, 'started');
    is($s->get('/')->{status}, 500, 'the helper is broken');
    write_text("$s->{dir}/apps/helper.py", '');
    my $ok = wait_for { $s->get('/')->{status} == 200 } 30;
    ok($ok, 'mended in another file, it serves after a while');
    $s->stop;
};

finish();

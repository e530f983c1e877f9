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
WSGIScriptAlias /refusedlate @DIR@/apps/refusedlate.py
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
$server->app('refused.py', import_refusing() . $GOOD);

# And one that asks for it in a request only, and goes on without it.
$server->app('refusedlate.py', <<"END");
def application(environ, start_response):
    for name in @{[refusing()]}:
        try:
            __import__(name)
        except ImportError:
            pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
END

announce(qr/PW0502 .*extension module/, qr/PW00\d\d.*(?:missing|closed)\.py/, qr/PW020[1-3]/,
    qr/PW020[56] .*(?:closed|syntax|module)/, qr/PW030\d/);
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
    # Before it is mended, each must have failed once.
    for my $path (qw(/broken /shared/broken)) {
        ok(wait_for { scalar $server->lines(qr{PW0201 .*[|\d]\Q$path\E\)?: cannot load}) },
            "$path has failed");
    }
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

subtest 'an extension that a request asks for' => sub {
    is($server->get('/refusedlate')->{body}, 'ok', 'the application goes on') for 1 .. 3;
    my @said = $server->lines(qr/PW0502 .*extension module \w+ does not load.*Mend/);
    plan skip_all => 'all of them load in this Python' if !@said;
    my %each = map { /\[pid (\d+).*module (\w+) does/ ? ("$1 $2" => 1) : () } @said;
    is(scalar @said, scalar keys %each, 'each is said once in a child');
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

subtest 'an environment that virtualenv made' => sub {
    my $s = PWTest::Server->new(name => 'virtualenv', conf => <<'END');
<WSGIInterpreter made>
    WSGIPythonHome @DIR@/made
</WSGIInterpreter>
WSGIScriptAlias / @DIR@/apps/made.py interpreter=made
END
    my @make = ("$ENV{PW_T_VENVS}/web/bin/python", '-m', 'virtualenv', '-q', '--no-seed',
        '--app-data', "$s->{dir}/data", "$s->{dir}/made");
    is(system(@make), 0, 'virtualenv makes it') or return;
    my ($packages) = glob "$s->{dir}/made/lib/python*/site-packages";
    write_text("$packages/within.py", "WORD = 'within'\n");
    $s->app('made.py', "import sys\nfrom within import WORD\n"
        . "def application(environ, start_response):\n"
        . "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        . "    return [('%s %s' % (WORD, sys.prefix)).encode()]\n");
    ok($s->start, 'started');
    is($s->get('/')->{body}, "within $s->{dir}/made", 'its packages, and its prefix');
    $s->stop;
};

# The records before PW0201 say why. says: of the first, PW0205; undef: it is
# not written.
my ($version) = info()->{python} =~ /^(3\.\d+)/;
my $why = PWTest::Server->new(name => 'why', conf => <<'END');
<WSGIInterpreter red>
    WSGIPythonHome @VENVS@/red
</WSGIInterpreter>
<WSGIInterpreter old>
    WSGIPythonHome @DIR@/old
</WSGIInterpreter>
<WSGIInterpreter closed>
    WSGIPythonPath @DIR@/closed:@DIR@/lib
</WSGIInterpreter>
<WSGIInterpreter lib>
    WSGIPythonPath @DIR@/lib
</WSGIInterpreter>
WSGIScriptAlias /site/wsgi @DIR@/site/wsgi/app.py
WSGIScriptAlias /red @DIR@/apps/red.py interpreter=red
WSGIScriptAlias /old @DIR@/apps/old.py interpreter=old
WSGIScriptAlias /closed @DIR@/apps/closed.py interpreter=closed
WSGIScriptAlias /compiled @DIR@/apps/compiled.py interpreter=lib
WSGIScriptAlias /inner @DIR@/apps/inner.py interpreter=lib
WSGIScriptAlias /shadow @DIR@/apps/shadow.py interpreter=lib
WSGIScriptAlias /gone @DIR@/apps/gone.py
WSGIScriptAlias /from @DIR@/apps/from.py
WSGIScriptAlias /other @DIR@/apps/other.py
WSGIScriptAlias /data @DIR@/apps/data.py
WSGIScriptAlias /relative @DIR@/apps/relative.py
WSGIScriptAlias /control @DIR@/apps/control.py
END
my $w = $why->{dir};
mkdir "$w/$_" or die "$w/$_: $!" for qw(site site/wsgi site/shop lib closed old
    old/lib old/lib/python3.2 old/lib/python3.2/site-packages
    old/lib/python3.2/site-packages/ancient);
write_text("$w/old/pyvenv.cfg", "home = /usr/bin\n");
write_text("$w/site/wsgi/app.py", "import shop\n");
write_text("$w/site/shop/__init__.py", '');
write_text("$w/lib/broken_inside.py", "x = 1\ny = = 2\n");
write_text("$w/lib/plain.py", '');
write_text("$w/lib/speedy.cpython-32-x86_64-linux-gnu.so", '');
write_text("$w/closed/secret.py", '');
write_text("$w/closed/data.txt", '');
my $shut = $> == 0 ? 0700 : 0000;
chmod $shut, "$w/closed" or die $!;
my $cannot = qr{user \Q$ENV{PW_T_USER}\E may not (?:enter|read) \Q$w\E/closed \(0\d00, owner \w+\)\. Mend: (?:setfacl -m u:\w+:r?x|chmod u\+r?x) \Q$w\E/closed$};
my %script = (
    red => 'import no_such_package', old => 'import ancient',
    closed => 'import secret', compiled => 'import speedy',
    inner => 'import broken_inside', shadow => 'import plain.sub',
    gone => 'import asyncore',
    from => "try:\n    import no_such_package\nexcept ImportError as e:\n"
        . "    raise RuntimeError('not configured') from e",
    other => "try:\n    import no_such_package\nexcept ImportError:\n"
        . "    raise ValueError('another thing')",
    data => "open('$w/closed/data.txt')", relative => "open('settings.toml')",
    control => '__import__("a\\n\\x1b[31mb")',
);
$why->app("$_.py", "$script{$_}\n$GOOD") for keys %script;
announce(qr/PW004\d .*(?:closed|old)/, qr/PW020[156]/);
ok($why->start, 'the server of causes starts');
my @causes = (
    { path => '/site/wsgi', says => qr{no module named 'shop': \Q$w\E/site has it, but is not in sys\.path\. Mend: WSGIPythonPath \Q$w\E/site$}, details => 1 },
    { path => '/red', says => qr{no module named 'no_such_package'\. Mend: .*\Q$ENV{PW_T_VENVS}\E/red/bin/python -m pip install no_such_package$},
      details => qr{sys\.path is .*/red/lib/python\Q$version\E/site-packages.*; the environment is \Q$ENV{PW_T_VENVS}\E/red, Python \Q$version\E\.} },
    { path => '/old', says => qr{no module named 'ancient': the environment has it for another Python, in \Q$w\E/old/lib/python3\.2/site-packages; this is Python \Q$version\E\. Mend: .*python\Q$version\E -m venv \Q$w\E/old$}, details => 1 },
    { path => '/closed', says => qr{no module named 'secret': \Q$w\E/closed(?:/secret\.py)?: $cannot}, details => 1 },
    { path => '/compiled', says => qr{no module named 'speedy': .*speedy\.cpython-32-\S+ was compiled for another Python than \Q$version\E}, details => 1 },
    { path => '/inner', says => qr{lib/broken_inside\.py line 2: SyntaxError: invalid syntax: y = = 2\. Mend:} },
    { path => '/shadow', says => qr{no module named 'plain\.sub': 'plain' is \Q$w\E/lib/plain\.py, which is no package}, details => 1 },
    { path => '/from', says => qr{no module named 'no_such_package'\.}, details => 1 },
    { path => '/other', says => undef },
    { path => '/data', says => qr{/closed/data\.txt: $cannot} },
    { path => '/relative', says => qr{settings\.toml is not there: it is relative, and httpd stands in /} },
    { path => '/control', says => qr{no module named 'a\\n\\x1b\[31mb'}, details => 1 },
);
push @causes, { path => '/gone', says => qr{no module named 'asyncore': Python has it no more since 3\.12}, details => 1 }
    if python_at_least(12);
cases(sub {
    my ($case) = @_;
    is($why->get($case->{path})->{status}, 500, 'answered 500');
    my @lines = grep { / PW02\d\d \S*(?: \(\S*)?\Q$case->{path}\E\)?:/ } $why->lines(qr/PW02/);
    if (!$case->{says}) {
        ok(!grep({ /PW020[56]/ } @lines), 'the exception says all there is');
        return;
    }
    # What httpd itself escapes in a record, it doubles.
    s/\\\\/\\/g for @lines;
    like($lines[0], qr/PW0205/, 'the cause comes first');
    like($lines[0], $case->{says}, 'and is right');
    my $details = $case->{details} || '';
    my $next = $details ? $lines[1] : $lines[0];
    like($next // '', ref $details ? $details : qr/PW0206 .*sys\.path is /, 'then the path')
        if $details;
    like($lines[$details ? 2 : 1] // '', qr/PW0201/, 'then the failure');
}, map { { %{$_}, name => "the cause of $_->{path}" } } @causes);
chmod 0700, "$w/closed";
$why->stop;

finish();

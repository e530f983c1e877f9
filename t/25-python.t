# SPDX-License-Identifier: Apache-2.0
# What is said of Python as a whole, seen by an application in an interpreter of
# its own and by one in the main interpreter.
use PWTest;
use PWTest::Server;

my $app = <<'END_APP';
"""A docstring."""
import json, os, signal, subprocess, sys, warnings

def documented():
    """Another."""

def what(call):
    try:
        return repr(call())
    except BaseException as error:
        return "%s: %s" % (type(error).__name__, error)

def application(environ, start_response):
    import pwfresh
    try:
        assert False
        asserts = False
    except AssertionError:
        asserts = True
    seen = dict(
        asserts=asserts, docstring=documented.__doc__ is not None,
        optimize=sys.flags.optimize, interval=sys.getswitchinterval(),
        hash=hash("a fixed string"), warnoptions=sys.warnoptions,
        dont_write=sys.dont_write_bytecode,
        cached=os.path.exists(os.path.join(os.path.dirname(pwfresh.__file__), "__pycache__")),
        stdin=what(lambda: sys.stdin.read(1)), stdout=what(lambda: sys.stdout.write("")),
        printed=what(lambda: print("", end="")),
        signal=what(lambda: signal.signal(signal.SIGUSR2, lambda *a: None)),
        process=subprocess.run(["/bin/sh", "-c", "echo $PW_PROCESS"], capture_output=True,
                               text=True).stdout.strip(),
        environ=os.environ.get("PW_PROCESS"),
        libc=what(lambda: __import__("time").tzname[0]),
        deprecated=what(lambda: warnings.warn("old", DeprecationWarning)))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode()]
END_APP

sub server {
    my ($name, $conf) = @_;
    my $s = PWTest::Server->new(name => $name, conf => "$conf\n" . <<'END_CONF');
WSGIPythonPath @DIR@/var
WSGIScriptAlias /own @DIR@/apps/app.py
WSGIScriptAlias /main @DIR@/apps/app.py application-group=%{GLOBAL}
END_CONF
    $s->app('app.py', $app);
    write_text("$s->{dir}/var/pwfresh.py", "x = 1\n");
    ok($s->start, 'started');
    return $s;
}

# want: per key a value, or a pattern; in both interpreters.
my @table = (
    { name => 'defaults', conf => '', want => { asserts => 1, docstring => 1,
        optimize => 0, dont_write => 0, cached => 1, interval => 0.005,
        stdin => qr/^''$/, stdout => qr/^0$/, printed => 'None',
        signal => qr/^(?:<|None|0)/, process => '', environ => undef,
        deprecated => 'None' },
      log => qr/PW0501 .*signal\.signal\(.*ignored/ },
    { name => 'WSGIPythonOptimize 1', conf => 'WSGIPythonOptimize 1',
      want => { asserts => 0, docstring => 1, optimize => 1 } },
    { name => 'WSGIPythonOptimize 2', conf => 'WSGIPythonOptimize 2',
      want => { asserts => 0, docstring => 0, optimize => 2 } },
    { name => 'WSGIDontWriteBytecode', conf => 'WSGIDontWriteBytecode On',
      want => { dont_write => 1, cached => 0 } },
    { name => 'WSGISwitchInterval', conf => 'WSGISwitchInterval 0.0125',
      want => { interval => 0.0125 } },
    { name => 'WSGIPythonWarnings', conf =>
        "WSGIPythonWarnings ignore\nWSGIPythonWarnings error::DeprecationWarning",
      want => { deprecated => 'DeprecationWarning: old' } },
    { name => 'WSGIRestrictStdin and Stdout', conf =>
        "WSGIRestrictStdin On\nWSGIRestrictStdout On",
      want => { stdin => qr/^OSError: sys\.stdin .*WSGIRestrictStdin/,
        stdout => qr/^OSError: sys\.stdout .*WSGIRestrictStdout/,
        printed => qr/^OSError: sys\.stdout/ } },
    { name => 'WSGIRestrictSignal Off', conf => 'WSGIRestrictSignal Off',
      # Under prefork the main interpreter runs in the main thread, where it works.
      want => { signal => threaded() ? qr/^ValueError: signal only works/
          : qr/^(?:ValueError: signal only works|<Handlers)/ } },
    { name => 'WSGIProcessEnv', conf =>
        "WSGIProcessEnv PW_PROCESS seen\nWSGIProcessEnv TZ XYZ-3",
      want => { process => 'seen', environ => 'seen', libc => "'XYZ'" } },
);
announce(qr/PW0501 .*signal\.signal\(/);
cases(sub {
    my ($case) = @_;
    my $s = server('python' . ($case->{conf} =~ /(\w+)/ ? $1 : ''), $case->{conf});
    for my $path (qw(/own /main)) {
        my $seen = $s->get_json($path);
        for my $key (sort keys %{ $case->{want} }) {
            my ($want, $have) = ($case->{want}{$key}, $seen->{$key});
            $have = $have ? 1 : 0 if ref $have;
            ref $want ? like($have, $want, "$path: $key")
                : is($have, $want, "$path: $key");
        }
    }
    ok(scalar $s->lines($case->{log}), 'and the log says so') if $case->{log};
    $s->stop;
}, @table);

subtest 'WSGIPythonHashSeed' => sub {
    my @hashes;
    for my $seed (qw(7 7 8)) {
        my $s = server('hash', "WSGIPythonHashSeed $seed");
        my %seen = map { $_ => $s->get_json($_)->{hash} } qw(/own /main);
        is($seen{'/own'}, $seen{'/main'}, 'one for all interpreters');
        push @hashes, $seen{'/own'};
        $s->stop;
    }
    is($hashes[0], $hashes[1], 'a seed gives the same hashes');
    isnt($hashes[0], $hashes[2], 'and another one others');
};

subtest 'an application sets what only the process can' => sub {
    announce(qr/PW0502 .*WSGIProcessEnv/);
    my $s = PWTest::Server->new(name => 'libraries', conf => <<'END_CONF');
WSGIProcessEnv PGHOST db.test
WSGIScriptAlias /a @DIR@/apps/a.py
WSGIScriptAlias /b @DIR@/apps/b.py
WSGIScriptAlias /c @DIR@/apps/c.py
END_CONF
    my $tail = "def application(e, s):\n    s('200 OK', [])\n    return [b'ok']\n";
    $s->app('a.py', "import os\nos.environ['PGPORT'] = '1'\n"
        . "os.environ['SSL_CERT_FILE'] = '/x'\n$tail");
    $s->app('b.py', "import os\nos.environ['PGHOST'] = 'db.test'\n"
        . "os.environ['PG_OTHER'] = os.environ['TZX'] = 'x'\n$tail");
    $s->app('c.py', "import os\nos.environ['LD_LIBRARY_PATH'] = 'x'\n$tail");
    ok($s->start, 'started');
    is($s->get("/$_")->{body}, 'ok', $_) for qw(a b c);
    my @lines = $s->lines(qr/PW0502 .*WSGIProcessEnv/);
    is(scalar @lines, 2, 'is named once for each interpreter') or diag("@lines");
    is(scalar(grep { /'PGPORT'.*Mend: WSGIProcessEnv PGPORT/ } @lines), 1, 'PGPORT');
    is(scalar(grep { /LD_LIBRARY_PATH/ } @lines), 1, 'LD_LIBRARY_PATH');
    $s->stop;
};

my @bad = (
    [ 'WSGIPythonOptimize 3', qr/WSGIPythonOptimize.*0, 1 and 2.*Mend/ ],
    [ 'WSGIPythonHashSeed -1', qr/WSGIPythonHashSeed.*4294967295.*Mend/ ],
    [ 'WSGIPythonHashSeed 4294967296', qr/WSGIPythonHashSeed/ ],
    [ 'WSGISwitchInterval 0', qr/WSGISwitchInterval.*Mend/ ],
    [ 'WSGISwitchInterval soon', qr/WSGISwitchInterval.*Mend/ ],
    [ 'WSGIProcessEnv A=B C', qr/WSGIProcessEnv.*Mend/ ],
    [ "<VirtualHost *:\@PORT\@>\nWSGIRestrictStdin On\n</VirtualHost>",
      qr/WSGIRestrictStdin.*main server/ ],
    [ "<Location />\nWSGIProcessEnv A B\n</Location>", qr/WSGIProcessEnv/ ],
);
subtest 'what is no value' => sub {
    my $s = PWTest::Server->new(name => 'nopython', conf => '');
    for my $case (@bad) {
        $s->{conf} = $case->[0];
        my ($status, $said) = $s->run('-t');
        isnt($status, 0, $case->[0]);
        like($said, $case->[1], 'says why');
    }
};
finish();

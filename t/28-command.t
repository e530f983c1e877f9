# SPDX-License-Identifier: Apache-2.0
# The command polywsgi: what it tells of a configuration, and what it finds out
# about applications without a server.
use PWTest;
use PWTest::Server;
use JSON::PP;
use Time::HiRes qw(time);

my $python = info()->{python};
my ($version) = $python =~ /^(3\.(\d+))/;
my $own_gil = $2 >= 13;
my $root = $> == 0;
my $user = $ENV{PW_T_USER};
my $server = PWTest::Server->new(name => 'command', conf => '');
my $dir = $server->{dir};
my $good = "def application(environ, start_response):\n    return []\n";

# The command: (exit status, standard output, standard error).
sub run_command {
    my (@args) = @_;
    $server->write_conf;
    my $name = shift @args;
    open my $fh, '-|', 'sh', '-c', 'exec "$@" 2>"$0"', "$dir/stderr",
        "$ENV{PW_T_BUILD}/polywsgi", $name, '--httpd', $ENV{PW_T_HTTPD},
        '-f', "$dir/httpd.conf", @args or die "polywsgi: $!";
    local $/ = undef;
    my $said = <$fh> // '';
    close $fh;
    return ($? >> 8, $said, read_text("$dir/stderr"));
}

# A Python that was copied looks for its library where it came from.
$ENV{LD_LIBRARY_PATH} = "$ENV{PW_T_PYTHON_HOME}/lib" if $ENV{PW_T_PYTHON_HOME};

# One application that says `source`, mounted at /it.
sub check {
    my ($source, $conf, @args) = @_;
    $server->app('it.py', $source) if defined $source;
    $server->{conf} = $conf // 'WSGIScriptAlias /it @DIR@/apps/it.py';
    return run_command('check', @args);
}

subtest 'scripts that requests find' => sub {
    $server->{conf} = "WSGIScriptAlias /d \@DIR\@/apps/\n"
        . "WSGIScriptAliasMatch ^/m/([a-z]+) \@DIR\@/apps/\$1.py application-group=x\n"
        . 'WSGIInterpreterLimit 5';
    my ($status, $said) = run_command('config');
    is($status, 0, 'config tells of them') or diag($said);
    my $at = "main\\.test:$server->{port}";
    like($said, qr{requests find, in up to 5 more}, 'how many');
    like($said, qr{^$at/d +\Q$dir\E/apps/ +one for each file +\S+:\d+$}m, 'a directory');
    like($said, qr{^$at\^/m/\S+ +\Q$dir\E/apps/\$1\.py +x +\S+:\d+$}m, 'a pattern');
    my ($good_status, $checked) = run_command('check');
    is($good_status, 0, 'there is nothing of them to check') or diag($checked);
};

subtest 'what is said of Python as a whole' => sub {
    my ($status, $said) = check(<<'END_APP', <<'END_CONF');
import os, sys
assert False, "stripped"
if sys.flags.optimize != 1 or os.environ["PW_WHOLE"] != "yes":
    raise ValueError("not as configured")
try:
    print("to a closed stream")
    raise ValueError("stdout is open")
except OSError:
    pass
application = len
END_APP
WSGIPythonOptimize 1
WSGIRestrictStdout On
WSGIProcessEnv PW_WHOLE yes
WSGIImportScript @DIR@/apps/it.py application-group=a
WSGIScriptAlias /it @DIR@/apps/it.py application-group=a
END_CONF
    is($status, 0, 'holds in check') or diag($said);
    like($said, qr/^2 fine, 0 would fail/m, 'for an import too');
};

subtest 'an application with hooks' => sub {
    my ($status, $said) = check(<<"END_APP");
import mod_wsgi, polywsgi
\@polywsgi.on_start
def start():
    raise ValueError("nothing starts in check")
polywsgi.on_stop(start)
mod_wsgi.subscribe_shutdown(start)
assert mod_wsgi.application_group == polywsgi.interpreter and polywsgi.instance == 1
$good
END_APP
    is($status, 0, 'is checked like any other') or diag($said);
};

subtest 'config' => sub {
    $server->app('it.py', $good);
    $server->{conf} = "WSGISetEnv PASSWORD hush\n"
        . "<WSGIInterpreter blog>\nWSGIPythonHome \@VENVS\@/red\n"
        . "WSGIPythonPath \@DIR\@/apps\n</WSGIInterpreter>\n"
        . "WSGIScriptAlias /it \@DIR\@/apps/it.py interpreter=blog\n"
        . "<VirtualHost *:\@PORT\@>\nServerName \"es\xc2\x9bc.test\"\n"
        . "WSGIApplication /m shop.wsgi:make.app application-group=%{GLOBAL}\n"
        . "</VirtualHost>\n";
    my ($status, $said) = run_command('config');
    is($status, 0, 'it works') or diag($said);
    like($said, qr/^Python \Q$python\E, served as user \Q$user\E$/m, 'Python and user');
    my $port = $server->{port};
    like($said, qr{^main\.test:$port/it +\Q$dir\E/apps/it\.py +blog +\S+ +\Q$dir\E/httpd\.conf:\d+$}m,
        'a mount, its interpreter and its line');
    like($said, qr{/m +shop\.wsgi:make\.app +%\{GLOBAL\} +main +\S+:\d+$}m, 'a module');
    like($said, qr{^blog +\Q$ENV{PW_T_VENVS}\E/red +\Q$dir\E/apps +PASSWORD$}m,
        'an interpreter, its environment, path and variables');
    unlike($said, qr/hush/, 'no values');
    unlike($said, qr/\xc2\x9b|[\x00-\x09\x0b-\x1f]/, 'no control character');
    like($said, qr/es\\x9bc\.test/, 'but its escape');

    my ($json_status, $json) = run_command('config', '--json');
    is($json_status, 0, '--json works');
    my $map = decode_json($json);
    is($map->{user}, $user, 'the user');
    is($map->{python}, $python, 'the version');
    ok(-x $map->{executable}, 'the executable');
    my %interp = map { $_->{name} => $_ } @{ $map->{interpreters} };
    is_deeply($interp{blog}{env}, ['PASSWORD'], 'names of variables');
    unlike($json, qr/hush|env_values/, 'no values');
    my $mount = $interp{blog}{applications}[0]{mounts}[0];
    my @lines = split /\n/, read_text("$dir/httpd.conf");
    like($lines[$mount->{line} - 1], qr/^WSGIScriptAlias \/it/, 'the line is right');
};

subtest 'it cannot tell' => sub {
    $server->{conf} = "WSGIScriptAlias /it \@DIR\@/apps/it.py interpreter=nowhere";
    for my $command (qw(config check)) {
        my ($status, $said, $error) = run_command($command);
        is($status, 2, "$command: exit status 2");
        like($error, qr/PW0007.*nowhere/, 'with what httpd says');
    }
    $server->{conf} = 'WSGIScriptAlias /it @DIR@/apps/it.py';
    my ($status, $said, $error) = run_command('check', 'nothing-of-that-name');
    is($status, 2, 'an unknown name: 2');
    like($error, qr/nothing-of-that-name/, 'and it says so');
    is((run_command('check', '--timeout', 'soon'))[0], 2, 'nonsense: 2');
    is((run_command('dance'))[0], 2, 'no such command: 2');
    is(system("$ENV{PW_T_BUILD}/polywsgi --version >/dev/null"), 0, '--version');
    ($status, $said, $error) = run_command('config', '--httpd', '/no/such/httpd');
    is($status, 2, 'no httpd: 2');
    like($error, qr{/no/such/httpd}, 'and it says so');
    write_text("$dir/plain.conf", "ServerName x\nErrorLog $dir/error_log\n"
        . read_text("$ENV{PW_T_DIR}/conf/modules.conf") =~ s/^LoadModule polywsgi.*$//mr);
    ($status, $said, $error) = run_command('config', '-f', "$dir/plain.conf");
    is($status, 2, 'without the module: 2');
    like($error, qr/a2enmod polywsgi/, 'with the mend');
};

# says: of the output.
mkdir "$dir/$_" or die $! for qw(closed lib), 'lib/deep';
write_text("$dir/closed/it.py", $good);
write_text("$dir/lib/broken_inside.py", "def f(:\n");
my $block = "<WSGIInterpreter b>\n%s\n</WSGIInterpreter>\n"
    . 'WSGIScriptAlias /it @DIR@/apps/it.py interpreter=b';
my $modes = $root ? '0700' : '0000';
my $label = qr{main\.test:\d+\|/it};
my @table = (
    { name => 'a good application', source => $good, status => 0,
      says => [qr/^ok     $label \(\S+, \d+ ms\)$/m, qr/^1 fine, 0 would fail$/m] },
    { name => 'it is tried as the run-time user', status => 0,
      source => "import os, pwd\nassert pwd.getpwuid(os.getuid()).pw_name == '$user'\n"
        . "assert os.getuid() == os.geteuid() and 0 not in os.getgroups() or not $>\n$good",
      says => [qr/as user \Q$user\E, with/] },
    { name => 'with its variables, path and environment', status => 0,
      conf => sprintf($block, "WSGISetEnv SECRET \"hu\\\"sh \xc3\xa9\"\n"
        . "WSGIPythonHome \@VENVS\@/red\nWSGIPythonPath \@DIR\@/lib/deep:\@DIR\@/lib"),
      source => "import os, sys, polywsgi, pwsame\n"
        . "assert os.environ['SECRET'] == 'hu\"sh \\u00e9', os.environ['SECRET']\n"
        . "assert sys.path[:2] == ['$dir/lib/deep', '$dir/lib'], sys.path\n"
        . "assert sys.prefix == '$ENV{PW_T_VENVS}/red'\n"
        . "assert pwsame.colour == 'red'\n"
        . "assert polywsgi.interpreter == 'b' and __name__.startswith('_polywsgi')\n$good",
      says => [qr/^ok     b \(main\.test:\d+\/it\)/m], never => qr/hu.?.?sh/ },
    { name => 'a module', status => 0, conf => "WSGIPythonPath \@DIR\@/apps\n"
        . 'WSGIApplication /it it:application', source => $good,
      says => [qr/^ok/m] },
    { name => 'a missing module', status => 1, source => 'import no_such_package',
      says => [qr/^FAILS  $label: no module named 'no_such_package'\n +mend: .*pip install no_such_package\n +sys\.path is /m,
        qr/^ +\| ModuleNotFoundError/m] },
    { name => 'a syntax error', status => 1, source => "x = 1\ndef f(:\n",
      says => [qr{^FAILS  $label: \Q$dir\E/apps/it\.py line 2: SyntaxError: }m] },
    { name => 'no callable', status => 1, source => 'x = 1',
      says => [qr/^FAILS  $label: AttributeError: .*has no 'application'/m] },
    { name => 'a missing script', status => 1,
      conf => 'WSGIScriptAlias /it @DIR@/none/it.py',
      says => [qr{^FAILS  $label: the script \Q$dir\E/none/it\.py is not there\n +mend: }m] },
    { name => 'a closed directory', status => 1, close => 1,
      conf => 'WSGIScriptAlias /it @DIR@/closed/it.py',
      says => [qr{^FAILS  $label: \Q$dir\E/closed/it\.py: user \Q$user\E may not enter \Q$dir\E/closed \($modes, owner \w+\)\n +mend: (?:setfacl -m u:\Q$user\E:x|chmod u\+x) \Q$dir\E/closed$}m] },
    { name => 'a closed directory of WSGIPythonPath is a note', status => 0, close => 1,
      source => $good, conf => "WSGIPythonPath \@DIR\@/closed\n"
        . 'WSGIScriptAlias /it @DIR@/apps/it.py',
      says => [qr{^ok .*\n +note: \Q$dir\E/closed: user \Q$user\E may not (?:enter|read) }m] },
    { name => 'WSGIStrict does not keep it from telling', status => 1,
      conf => "WSGIStrict On\nWSGIScriptAlias /it \@DIR\@/none/it.py",
      says => [qr/^FAILS/m] },
    { name => 'an environment of another Python', status => 1,
      conf => sprintf($block, 'WSGIPythonHome @DIR@/old'), source => 'import ancient',
      says => [qr{no module named 'ancient': the environment has it for another Python, in \Q$dir\E/old/lib/python3\.2/site-packages},
        qr{^ +note: the environment's directory \Q$dir\E/old/lib/python\Q$version\E/site-packages is not there}m] },
    { name => 'an environment whose file says another version', status => 2,
      conf => sprintf($block, 'WSGIPythonHome @DIR@/older'), source => $good,
      error => qr/PW0004 .*3\.2\.1/ },
    { name => 'control characters', status => 1,
      source => "print('\\x1b[2Jcleared')\nraise ValueError('\\x1b]0;title\\x07 \\x9b1m \\u202e')",
      says => [qr/ValueError: \\x1b\]0;title\\x07 \\x9b1m \\u202e$/m, qr/\\x1b\[2Jcleared/],
      never => qr/[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80\xae/ },
    { name => 'an import that ends the process', status => 1, source => "import os\nos._exit(7)",
      says => [qr/^FAILS  $label: its import ended the process, with status 7$/m] },
    { name => 'or by a signal', status => 1,
      source => "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
      says => [qr/^FAILS  $label: its import ended the process by SIGKILL$/m] },
    { name => 'SystemExit', status => 1, source => "import sys\nsys.exit('enough')",
      says => [qr/^FAILS  $label: SystemExit: enough$/m] },
    { name => 'one that prints much', status => 0,
      source => "import sys\nfor i in range(100000):\n    print('x' * 50)\n$good",
      says => [qr/^ok/m] },
    { name => 'a process of its own that stays', status => 0,
      source => "import subprocess\np = subprocess.Popen(['sleep', '300'])\n"
        . "open('$dir/var/pid', 'w').write(str(p.pid))\n$good",
      says => [qr/^ok/m], gone => "$dir/var/pid" },
    { name => 'a thread that does not end', status => 0,
      source => "import threading, time\nthreading.Thread(target=time.sleep, args=(300,)).start()\n$good",
      says => [qr/^ok/m] },
    { name => 'an import that hangs', status => 1,
      source => "import time\ndef wait():\n    time.sleep(300)\nwait()\n",
      args => [ '--timeout', '1' ], limit => 60,
      says => [qr/^FAILS  $label: its import was not done after 1 s\n +mend: .*WSGIStartupTimeout\n/m,
        qr{\| +File "\Q$dir\E/apps/it\.py", line 3, in wait}] },
);
push @table, { name => 'an extension that refuses', status => 1, optional => 1,
    source => import_refusing() . $good,
    says => [qr/^FAILS  $label: the extension module \w+ does not load in an interpreter of this kind \(own-gil\)\n +mend: .*application-group=%\{GLOBAL\}$/m] } if $own_gil;
push @table, { name => 'one that is done without', status => 0, optional => 1,
    source => <<"END" . $good,
for name in @{[refusing()]}:
    try:
        __import__(name)
    except ImportError:
        pass
END
    says => [qr/^ok     $label .*\n(?: +note: the extension module .*its package went on without it|1 fine)/m] } if $own_gil;
for my $old (qw(old older)) {
    mkdir "$dir/$_" or die $! for $old, "$old/lib", "$old/lib/python3.2",
        "$old/lib/python3.2/site-packages", "$old/lib/python3.2/site-packages/ancient";
    write_text("$dir/$old/pyvenv.cfg", "home = /usr/bin\n"
        . ($old eq 'older' ? "version = 3.2.1\n" : ''));
}

cases(sub {
    my ($case) = @_;
    chmod oct $modes, "$dir/closed" if $case->{close};
    my $from = time;
    my ($status, $said, $error) =
        check($case->{source}, $case->{conf}, @{ $case->{args} || [] });
    my $took = time - $from;
    chmod 0755, "$dir/closed";
    if ($case->{optional} && $case->{status} && $status == 0) {
        plan skip_all => 'no module of the library refuses';
    }
    is($status, $case->{status}, "exit status $case->{status}") or diag("$said$error");
    like($said, $_, "it says $_") for @{ $case->{says} || [] };
    like($error, $case->{error}, 'it says why not') if $case->{error};
    is($error, '', 'nothing else') if !$case->{error};
    unlike($said, $case->{never}, 'and not more') if $case->{never};
    cmp_ok($took, '<', $case->{limit}, 'in time') if $case->{limit};
    like($said, qr/not root/, 'it says that it is not root') if !$root && $status < 2;
    if ($case->{gone}) {
        my $pid = read_text($case->{gone});
        ok(wait_for { !-e "/proc/$pid" || read_text("/proc/$pid/stat") =~ /\) Z/ },
            'what it has started is gone');
    }
}, @table);

subtest 'some of them' => sub {
    $server->app('it.py', $good);
    $server->app('bad.py', 'raise ValueError("bad")');
    my $conf = "WSGIScriptAlias /it \@DIR\@/apps/it.py application-group=one\n"
        . 'WSGIScriptAlias /bad @DIR@/apps/bad.py application-group=two';
    my ($status, $said) = check($good, $conf);
    is($status, 1, 'one of two fails');
    like($said, qr/^ok     one .*^FAILS  two .*^1 fine, 1 would fail$/ms, 'both are told');
    is((check($good, $conf, 'one'))[0], 0, 'by the name of the interpreter');
    ($status, $said) = check($good, $conf, "two (main.test:$server->{port}/bad)");
    is($status, 1, 'by that of the application');
    unlike($said, qr/ok     one/, 'and no other');
};

finish();

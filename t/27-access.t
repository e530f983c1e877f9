# SPDX-License-Identifier: Apache-2.0
# Files that are missing or closed to the run-time user: what httpd -t and a
# start say of them, that the others serve, and what WSGIStrict makes of it.
use PWTest;
use PWTest::Server;
use File::Path qw(make_path);
use POSIX ();

my $root = $> == 0;
my $user = $ENV{PW_T_USER};
my $owner = getpwuid $>;
my ($minor) = info()->{python} =~ /^(3\.\d+)/;
my $server = PWTest::Server->new(name => 'access', conf => '');
my $dir = $server->{dir};
my $app = <<'END';
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]
END
$server->app('good.py', $app);
make_path(map { "$dir/$_" } qw(home/anna/shop open/in lib
    empty-venv/bin), "venv/lib/python$minor/site-packages", 'it is');
for my $file ('home/anna/shop/wsgi.py', 'open/in/wsgi.py', 'open/unread.py',
    'it is/wsgi.py', 'lib/wsgi.py') {
    write_text("$dir/$file", $app);
}
write_text("$dir/$_/pyvenv.cfg", "home = /usr/bin\n") for qw(empty-venv venv);
symlink '../home/anna/shop/wsgi.py', "$dir/open/link.py" or die $!;
symlink "$dir/home/anna", "$dir/open/absolute" or die $!;
symlink 'loop.py', "$dir/open/loop.py" or die $!;
POSIX::mkfifo("$dir/open/fifo.py", 0644) or die $!;

# For root the run-time user is another; an ordinary user closes to himself.
sub mend {
    my ($rights, $at) = @_;
    return $root ? "setfacl -m u:$user:$rights $at" : "chmod u+$rights $at";
}

sub may_not {
    my ($what, $at, $mode, $rights) = @_;
    return qr/user \Q$user\E may not $what \Q$at\E \($mode, owner \Q$owner\E\)\. Mend: \Q@{[mend($rights, $at =~ s{(.* .*)}{'$1'}r)]}\E$/m;
}

# close: what is closed, and to which mode (root: 0700 keeps the others out).
my $shut = $root ? '0700' : '0000';
my $anna = "$dir/home/anna";
my @table = (
    { name => 'a directory on the way to a script', close => [$anna, $shut],
      conf => 'WSGIScriptAlias /a @DIR@/home/anna/shop/wsgi.py',
      says => [qr{PW0042 main\.test:\d+\|/a: \Q$anna\E/shop/wsgi\.py: },
        may_not('enter', $anna, $shut, 'x')] },
    { name => 'it is the one behind a symbolic link', close => [$anna, $shut],
      conf => 'WSGIScriptAlias /a @DIR@/open/link.py',
      says => [qr{PW0042 .*open/link\.py: }, may_not('enter', $anna, $shut, 'x')] },
    { name => 'also behind an absolute link and a detour', close => [$anna, $shut],
      conf => 'WSGIScriptAlias /a @DIR@/open/in/../absolute/./shop//wsgi.py',
      says => [qr/PW0042/, may_not('enter', $anna, $shut, 'x')] },
    { name => 'one that may be listed, but not entered',
      close => [$anna, $root ? '0744' : '0600'],
      conf => 'WSGIScriptAlias /a @DIR@/home/anna/shop/wsgi.py',
      says => [qr/PW0042/, may_not('enter', $anna, $root ? '0744' : '0600', 'x')] },
    { name => 'one that may be entered, but not listed',
      close => ["$dir/lib", $root ? '0711' : '0300'],
      conf => "WSGIScriptAlias /a \@DIR\@/lib/wsgi.py\n" .
        'WSGIPythonPath @DIR@/lib:@DIR@/apps',
      says => [qr{PW0043 main\.test:\d+\|/a: \Q$dir\E/lib: },
        may_not('read', "$dir/lib", $root ? '0711' : '0300', 'rx')], count => 1 },
    { name => 'a script that may not be read',
      close => ["$dir/open/unread.py", $root ? '0600' : '0000'],
      conf => 'WSGIScriptAlias /a @DIR@/open/unread.py',
      says => [qr/PW0043/,
        may_not('read', "$dir/open/unread.py", $root ? '0600' : '0000', 'r')] },
    { name => 'a name with a space, in a mend that a shell understands',
      close => ["$dir/it is", $shut],
      conf => 'WSGIScriptAlias /a "@DIR@/it is/wsgi.py"',
      says => [qr/PW0042/, may_not('enter', "$dir/it is", $shut, 'x')] },
    { name => 'a missing script', conf => 'WSGIScriptAlias /a @DIR@/none/wsgi.py',
      says => [qr{PW0008 main\.test:\d+\|/a: the script \Q$dir\E/none/wsgi\.py is not there}] },
    { name => 'a path that goes on behind a script',
      conf => 'WSGIScriptAlias /a @DIR@/open/unread.py/wsgi.py', says => [], count => 0 },
    { name => 'a directory in place of a script',
      conf => 'WSGIImportScript @DIR@/open application-group=a', says => [qr/PW0016/] },
    { name => 'a missing directory of scripts', conf => 'WSGIScriptAlias /a/ @DIR@/none/',
      says => [qr{PW0047 /a/: the directory of scripts \Q$dir\E/none/ is not there}] },
    { name => 'a closed one', close => [$anna, $shut],
      conf => 'WSGIScriptAlias /a/ @DIR@/home/anna/shop/',
      says => [qr{PW0042 /a/: }, may_not('enter', $anna, $shut, 'x')] },
    { name => 'one with $1', conf => 'WSGIScriptAliasMatch ^/(a) @DIR@/none/$1.py',
      says => [], count => 0 },
    { name => 'a link to itself', conf => 'WSGIScriptAlias /a @DIR@/open/loop.py',
      says => [qr{PW0044 .*open/loop\.py: .*symbolic links}] },
    { name => 'a FIFO does not hold it up',
      conf => 'WSGIScriptAlias /a @DIR@/open/fifo.py', says => [], count => 0 },
    { name => 'a missing environment',
      conf => "<WSGIInterpreter b>\nWSGIPythonHome \@DIR\@/none\n</WSGIInterpreter>\n"
        . 'WSGIScriptAlias /a @DIR@/apps/good.py interpreter=b',
      says => [qr{PW0009 b: WSGIPythonHome \Q$dir\E/none is not there}] },
    { name => 'a missing prefix', conf => "WSGIPythonHome \@DIR\@/none\n"
        . 'WSGIScriptAlias /a @DIR@/apps/good.py',
      says => [qr{PW0017 WSGIPythonHome \Q$dir\E/none is not there}] },
    { name => 'an environment without packages of this Python',
      conf => "<WSGIInterpreter b>\nWSGIPythonHome \@DIR\@/empty-venv\n</WSGIInterpreter>\n"
        . 'WSGIScriptAlias /a @DIR@/apps/good.py interpreter=b',
      says => [qr{PW0040 b: .*empty-venv/lib/python\Q$minor\E/site-packages}] },
    { name => 'a closed environment', close => ["$dir/venv/lib", $shut],
      conf => "<WSGIInterpreter b>\nWSGIPythonHome \@DIR\@/venv\n</WSGIInterpreter>\n"
        . 'WSGIScriptAlias /a @DIR@/apps/good.py interpreter=b',
      says => [qr{PW0042 b: \Q$dir\E/venv/lib/python}, may_not('enter', "$dir/venv/lib", $shut, 'x')] },
    { name => 'a missing directory of WSGIPythonPath',
      conf => "WSGIPythonPath \@DIR\@/apps:\@DIR\@/none\n"
        . "WSGIScriptAlias /a \@DIR\@/apps/good.py\n"
        . 'WSGIScriptAlias /b @DIR@/apps/good.py',
      says => [qr{PW0041 main\.test:\d+\|/a: \Q$dir\E/none of WSGIPythonPath}], count => 1 },
    { name => 'nothing wrong', conf => "WSGIPythonPath \@DIR\@/apps\n"
        . 'WSGIScriptAlias /a @DIR@/apps/good.py', says => [], count => 0 },
);

# As the case says, while the code runs.
sub with_closed {
    my ($case, $code) = @_;
    my ($path, $mode) = @{ $case->{close} || [] };
    my $before;
    if ($path) {
        $before = (stat $path)[2] & 07777;
        chmod oct $mode, $path or die "$path: $!";
    }
    $code->();
    chmod $before, $path if $path;
    return;
}

sub try_case {
    my ($case) = @_;
    $server->{conf} = $case->{conf};
    my ($status, $said) = $server->run('-t');
    is($status, 0, 'a warning, no error') or diag($said);
    like($said, $_, 'it says so') for @{ $case->{says} };
    is(scalar(() = $said =~ /PW00\d\d/g), $case->{count} // 1,
        'once, and nothing else') or diag($said);

    $server->{conf} = "WSGIStrict On\n$case->{conf}";
    ($status, $said) = $server->run('-t');
    if (!@{ $case->{says} }) {
        is($status, 0, 'nor has WSGIStrict a word to say') or diag($said);
        return;
    }
    isnt($status, 0, 'an error under WSGIStrict');
    like($said, $_, 'which says it') for @{ $case->{says} };
    like($said, qr/PW0046 .*1 warning about/, 'and why');
    unlike($said, qr/Syntax OK/, 'no OK');
    return;
}
cases(sub { my ($case) = @_; with_closed($case, sub { try_case($case) }) }, @table);

subtest 'a start warns, and that application alone is answered 503' => sub {
    announce(qr/PW0042 .*anna/, qr/AH00529|PW0312|PW020\d .*anna/);
    my $s = $server;
    $s->{conf} = "WSGIScriptAlias /shop $anna/shop/wsgi.py\n"
        . 'WSGIScriptAlias /good @DIR@/apps/good.py';
    with_closed($table[0], sub {
        ok($s->start, 'started');
        is($s->get('/good')->{status}, 200, 'the good one answers');
        is($s->get('/shop')->{status}, 503, 'the closed one is unavailable');
        is(scalar $s->lines(qr/:warn\].*PW0042/), 1, 'one warning of it');
    });
    ok(wait_for { $s->get('/shop')->{status} == 200 }, 'opened, it serves');
    $s->stop;
};

subtest 'WSGIStrict at the first start' => sub {
    my $s = PWTest::Server->new(name => 'strict', conf => "WSGIStrict On\n"
        . 'WSGIScriptAlias / @DIR@/apps/late.py');
    my ($status, $said) = $s->run('-k', 'start');
    isnt($status, 0, 'it does not start');
    like($said, qr/PW0008.*PW0046/s, 'and says why on the terminal');
    ok(!$s->connects, 'nothing listens');
};

subtest 'WSGIStrict at a restart is a warning' => sub {
    announce(qr/PW0008 .*late\.py/, qr/PW0202 .*late\.py/);
    my $s = PWTest::Server->new(name => 'restart', conf => "WSGIStrict On\n"
        . 'WSGIScriptAlias / @DIR@/apps/late.py');
    my $late = $s->app('late.py', $app);
    ok($s->start, 'it starts where all is well');
    is($s->get('/')->{status}, 200, 'and serves');
    unlink $late or die $!;
    my ($status) = $s->run('-t');
    isnt($status, 0, 'httpd -t finds an error');
    my $starts = () = $s->lines(qr/PW0001/);
    $s->signal('USR1');
    ok(wait_for { (() = $s->lines(qr/PW0001/)) > $starts }, 'it restarts');
    ok($s->alive, 'and lives');
    is(scalar $s->lines(qr/:warn\].*PW0008/), 1, 'with a warning');
    ok(wait_for { $s->get('/')->{status} == 503 }, '503 until it is there');
    $s->app('late.py', $app);
    ok(wait_for { $s->get('/')->{status} == 200 }, 'and then it serves');
    $s->stop;
};

subtest 'WSGIStrict stands in the main server' => sub {
    $server->{conf} = "<VirtualHost *:\@PORT\@>\nWSGIStrict On\n</VirtualHost>";
    my ($status, $said) = $server->run('-t');
    isnt($status, 0, 'not in a virtual host');
    like($said, qr/WSGIStrict/, 'it says so');
};

subtest 'where the user cannot be tried, it says so' => sub {
    plan skip_all => 'only root becomes another user' if !$root;
    # Root without the capability that setuid takes.
    my @less = qw(setpriv --bounding-set=-setuid --inh-caps=-setuid);
    plan skip_all => 'no setpriv here' if system("@less true 2> /dev/null") != 0;
    $server->{conf} = 'WSGIScriptAlias /a @DIR@/none/wsgi.py';
    $server->write_conf;
    my $said = qx{@less $ENV{PW_T_HTTPD} -f $dir/httpd.conf -t 2>&1};
    is($? >> 8, 0, 'a warning');
    like($said, qr/PW0045 whether user \Q$user\E may read .*: Operation not permitted/,
        'with the cause');
    unlike($said, qr/PW0008/, 'and no guess');
};

finish();

# SPDX-License-Identifier: Apache-2.0
# Configuration: what httpd -t says of good and bad ones, and the dump.
use PWTest;
use PWTest::Server;
use JSON::PP;

my $info = '@APPS@/info.py';
my $python = info()->{python};
my $own_gil = ($python =~ /^3\.(\d+)/)[0] >= 13;

# like: what must stand in the output; every error names its directive.
my @good = (
    { name => 'one line', conf => "WSGIScriptAlias / $info" },
    { name => 'relative to ServerRoot',
      conf => 'WSGIScriptAlias / apps/here.py' },
    { name => 'options', conf =>
        "WSGIScriptAlias / $info application-group=a callable-object=application" },
    { name => 'interpreter defined after its use', conf =>
        "WSGIScriptAlias / $info interpreter=late\n"
        . "<WSGIInterpreter late>\nWSGISetEnv A b\n</WSGIInterpreter>" },
    { name => 'interpreter used in a virtual host before it is defined', conf =>
        "<VirtualHost *:\@PORT\@>\nServerName v.test\n"
        . "WSGIScriptAlias / $info interpreter=late\n</VirtualHost>\n"
        . "<WSGIInterpreter late>\n</WSGIInterpreter>" },
    { name => 'application-group without a block', conf =>
        "WSGIScriptAlias / $info application-group=anything" },
    { name => 'groups in every section', conf =>
        "WSGIApplicationGroup one\nWSGIScriptAlias / $info\n"
        . "<Location /x>\nWSGIApplicationGroup two\n</Location>\n"
        . "<Directory \@APPS\@>\nWSGICallableObject application\n</Directory>" },
    { name => 'all of a block', conf =>
        "<WSGIInterpreter b>\nWSGIPythonHome \@VENVS\@/red\n"
        . "WSGIPythonPath \@APPS\@/lib\nWSGISetEnv A b\n"
        . "WSGIIsolation shared-gil\nWSGIStartupTimeout 10\n</WSGIInterpreter>\n"
        . "WSGIScriptAlias / $info interpreter=b" },
    { name => 'the main interpreter by a block', conf =>
        "<WSGIInterpreter m>\nWSGIIsolation main\n</WSGIInterpreter>\n"
        . "WSGIScriptAlias /a $info interpreter=m\n"
        . "WSGIScriptAlias /b $info application-group=%{GLOBAL}" },
    { name => 'timeouts with units',
      conf => "WSGIStartupTimeout 2min\nWSGIShutdownTimeout 3000ms\n"
        . "WSGIScriptAlias / $info" },
    { name => 'an application of a module',
      conf => "WSGIPythonPath \@APPS\@/lib\n"
        . 'WSGIApplication /m pwmodule.site:make.wsgi application-group=%{SERVER}' },
    { name => 'a directory', conf => "WSGIScriptAlias / \@APPS\@/\n"
        . "WSGIScriptAlias /b \@APPS\@\n"
        . 'WSGIScriptAliasMatch ^/x/([a-z]+) @APPS@/$1.py' },
    { name => 'an import', conf =>
        "WSGIImportScript $info application-group=a" },
    { name => 'a missing script is a warning', status => 0,
      conf => 'WSGIScriptAlias / @DIR@/apps/missing.py',
      like => [qr/PW00\d\d.*missing\.py.*503/s] },
);
my @bad = (
    { name => 'no arguments', conf => 'WSGIScriptAlias /',
      like => [qr/WSGIScriptAlias/] },
    { name => 'an unknown option', conf => "WSGIScriptAlias / $info colour=red",
      like => [qr/WSGIScriptAlias/, qr/colour/] },
    { name => 'process-group', conf => "WSGIScriptAlias / $info process-group=x",
      like => [qr/process-group/] },
    { name => 'a pattern that is none', conf => "WSGIScriptAliasMatch ^/( $info",
      like => [qr/WSGIScriptAliasMatch/, qr/regular expression.*Mend/] },
    { name => 'a pattern without a file', conf => 'WSGIScriptAliasMatch ^/',
      like => [qr/WSGIScriptAliasMatch.*Mend/] },
    { name => 'an import without its interpreter',
      conf => "WSGIImportScript $info", like => [qr/WSGIImportScript.*Mend/] },
    { name => 'an import into an interpreter of a mount', conf =>
        "WSGIImportScript $info application-group=%{RESOURCE}",
      like => [qr/WSGIImportScript.*Mend/] },
    { name => 'an import into an interpreter that no block defines', conf =>
        "WSGIImportScript $info interpreter=nowhere", like => [qr/PW0007/] },
    { name => 'a limit that is no number', conf => 'WSGIInterpreterLimit many',
      like => [qr/WSGIInterpreterLimit.*Mend/] },
    { name => 'a limit beyond all bounds', conf => 'WSGIInterpreterLimit 99999',
      like => [qr/WSGIInterpreterLimit.*Mend/] },
    { name => 'a limit of a virtual host', conf =>
        "<VirtualHost *:\@PORT\@>\nWSGIInterpreterLimit 3\n</VirtualHost>",
      like => [qr/WSGIInterpreterLimit/] },
    { name => 'interpreter= without its block',
      conf => "WSGIScriptAlias / $info interpreter=nowhere",
      like => [qr/nowhere/, qr/<WSGIInterpreter nowhere>|application-group/,
        qr/httpd\.conf/, qr/PW00\d\d/] },
    { name => 'two blocks of one name', conf =>
        "<WSGIInterpreter a>\n</WSGIInterpreter>\n"
        . "<WSGIInterpreter a>\n</WSGIInterpreter>",
      like => [qr/WSGIInterpreter/, qr/\ba\b/] },
    { name => 'two main interpreters', conf =>
        "<WSGIInterpreter a>\nWSGIIsolation main\n</WSGIInterpreter>\n"
        . "<WSGIInterpreter b>\nWSGIIsolation main\n</WSGIInterpreter>",
      like => [qr/main/, qr/\bb\b|\ba\b/] },
    { name => 'main for all', conf => 'WSGIIsolation main',
      like => [qr/WSGIIsolation/, qr/main/] },
    { name => 'no such isolation', conf =>
        "<WSGIInterpreter a>\nWSGIIsolation maximal\n</WSGIInterpreter>",
      like => [qr/WSGIIsolation/, qr/own-gil.*shared-gil.*main/s] },
    { name => 'no such group', conf => "WSGIApplicationGroup %{WHATEVER}",
      like => [qr/WSGIApplicationGroup/, qr/%\{WHATEVER\}/] },
    { name => 'a group of the environment',
      conf => "WSGIApplicationGroup %{ENV:X}",
      like => [qr/WSGIApplicationGroup/, qr/ENV/] },
    { name => 'a block in a virtual host', conf =>
        "<VirtualHost *:\@PORT\@>\n<WSGIInterpreter a>\n</WSGIInterpreter>\n"
        . '</VirtualHost>', like => [qr/WSGIInterpreter/] },
    { name => 'a foreign directive in a block', conf =>
        "<WSGIInterpreter a>\nDocumentRoot /\n</WSGIInterpreter>",
      like => [qr/DocumentRoot/] },
    { name => 'a block without a name', conf =>
        "<WSGIInterpreter>\n</WSGIInterpreter>", like => [qr/WSGIInterpreter/] },
    { name => 'a block that does not end', conf => '<WSGIInterpreter a>',
      like => [qr/WSGIInterpreter/] },
    { name => 'a home that is no virtual environment', conf =>
        "<WSGIInterpreter a>\nWSGIPythonHome \@DIR\@\n</WSGIInterpreter>\n"
        . "WSGIScriptAlias / $info interpreter=a",
      like => [qr/WSGIPythonHome/, qr/virtual environment|venv/] },
    { name => 'a home of another Python', conf =>
        "<WSGIInterpreter a>\nWSGIPythonHome \@DIR\@/old\n</WSGIInterpreter>\n"
        . "WSGIScriptAlias / $info interpreter=a",
      like => [qr/WSGIPythonHome/, qr/3\.2/, qr/\Q@{[$python =~ m{^(3\.\d+)}]}\E/] },
    { name => 'a module without a callable',
      conf => 'WSGIApplication / pwmodule.site', like => [qr/WSGIApplication/] },
    { name => 'a prefix without a slash',
      conf => 'WSGIApplication x pwmodule.site:app',
      like => [qr/WSGIApplication/] },
    { name => 'a bad timeout', conf => 'WSGIStartupTimeout soon',
      like => [qr/WSGIStartupTimeout/] },
    { name => 'a negative timeout', conf => 'WSGIShutdownTimeout -1',
      like => [qr/WSGIShutdownTimeout/] },
    { name => 'a bad time of loading', conf => 'WSGIPreload later',
      like => [qr/WSGIPreload: 'later' is none of on, off and wait\. Mend:/] },
    { name => 'a time of loading in a virtual host',
      conf => "<VirtualHost *:\@PORT\@>\nWSGIPreload off\n</VirtualHost>",
      like => [qr/WSGIPreload stands in the main server .* Mend: move it there/] },
    { name => 'WSGISetEnv without a value', conf => 'WSGISetEnv A',
      like => [qr/WSGISetEnv/] },
);
push @bad, { name => 'own-gil where Python cannot', conf =>
    "<WSGIInterpreter a>\nWSGIIsolation own-gil\n</WSGIInterpreter>",
    like => [qr/WSGIIsolation/, qr/own-gil/, qr/3\.13/] } if !$own_gil;
push @good, { name => 'own-gil', conf =>
    "<WSGIInterpreter a>\nWSGIIsolation own-gil\n</WSGIInterpreter>"
    . "\nWSGIScriptAlias / $info interpreter=a" } if $own_gil;

my $server = PWTest::Server->new(name => 'config', conf => '');
$server->app('here.py', 'def application(e, s): pass');
mkdir "$server->{dir}/old";
write_text("$server->{dir}/old/pyvenv.cfg", "home = /usr/bin\nversion = 3.2.1\n");

sub try {
    my ($case, $good) = @_;
    $server->{conf} = $case->{conf};
    my ($status, $said) = $server->run('-t');
    if ($good) {
        is($status, 0, 'accepted') or diag($said);
        like($said, qr/Syntax OK/, 'and said so');
    }
    else {
        isnt($status, 0, 'refused');
        cmp_ok($status, '<', 100, 'and did not crash') or diag($said);
        unlike($said, qr/Syntax OK/, 'no OK');
    }
    for my $like (@{ $case->{like} || [] }) {
        like($said, $like, "it says $like");
    }
}
cases(sub { try($_[0], 1) }, @good);
cases(sub { try($_[0], 0) }, @bad);

subtest 'what httpd -t refuses, a start refuses' => sub {
    $server->{conf} = "WSGIScriptAlias / $info interpreter=nowhere";
    my ($status, $said) = $server->run('-k', 'start');
    isnt($status, 0, 'it does not start');
    ok(!$server->connects, 'and does not listen');
};

subtest 'DUMP_POLYWSGI' => sub {
    $server->{conf} = "<WSGIInterpreter \"b \\\"q\\\" \xc3\xa9\">\nWSGIPythonHome "
        . "\@VENVS\@/red\nWSGISetEnv SECRET hush\n</WSGIInterpreter>\n"
        . "WSGIScriptAlias /b $info \"application-group=b \\\"q\\\" \xc3\xa9\"\n"
        . "WSGIScriptAlias /r $info\n"
        . 'WSGIApplication /m pwmodule.site:make.wsgi application-group=%{GLOBAL}';
    my ($status, $said) = $server->run('-t', '-D', 'DUMP_POLYWSGI');
    is($status, 0, 'it works');
    my ($text) = $said =~ /^(\{.*\})/ms;
    my $map = eval { decode_json($text // '') };
    ok($map, 'the dump is JSON') or return diag("$@: $said");
    my %by_name = map { $_->{name} => $_ } @{ $map->{interpreters} };
    is(scalar keys %by_name, 3, 'three interpreters');
    my $b = $by_name{"b \"q\" \x{e9}"};
    ok($b, 'a name with quotes survives') or diag(explain([keys %by_name]));
    is($b->{home}, "$ENV{PW_T_VENVS}/red", 'with its home');
    ok($by_name{'%{GLOBAL}'}, 'the main interpreter');
    is($by_name{'%{GLOBAL}'}{isolation}, 'main', 'is main');
    my ($r) = grep { /\|/ } keys %by_name;
    like($r, qr/^main\.test:\d+\|\/r$/, 'the default name: server and mount');
    unlike($said, qr/hush/, 'values of WSGISetEnv are not shown');
};

subtest 'the line at the start' => sub {
    my $s = PWTest::Server->new(name => 'startline', conf =>
        "WSGIScriptAlias /a $info\nWSGIScriptAlias /b $info\n");
    ok($s->start, 'started');
    $s->get("/$_") for qw(a b);
    my @lines = $s->lines(qr/PW00\d\d.*2 interpreters/);
    is(scalar @lines, 1, 'one line tells the interpreters, once') or
        diag(join "\n", $s->lines(qr/PW00/));
    like($lines[0] || '', qr/instances/, 'and the instances');
    $s->stop;
};

if (threaded()) {
    my @sizing = (
        { name => 'no room for a graceful restart',
          like => mpm() eq 'event' ? qr/ServerLimit/ : undef,
          sizing => "StartServers 1\nServerLimit 1\nThreadsPerChild 8\n"
            . "MaxRequestWorkers 8\nMinSpareThreads 1\nMaxSpareThreads 8\n" },
        { name => 'children respawn', like => qr/MaxConnectionsPerChild/,
          sizing => PWTest::Server->new(name => 'x', conf => '')->sizing
            . "MaxConnectionsPerChild 100\n" },
    );
    cases(sub {
        my ($case) = @_;
        announce(qr/PW00\d\d .*(?:ServerLimit|MaxConnectionsPerChild|MaxSpareThreads)/);
        my $s = PWTest::Server->new(name => 'sizing',
            conf => "WSGIScriptAlias / $info", sizing => $case->{sizing});
        ok($s->start, 'started');
        # httpd listens before it says this.
        ok(wait_for { $s->lines(qr/resuming normal operations/) }, 'it has said all');
        my @warned = $s->lines(qr/:warn\].*PW00\d\d/);
        if ($case->{like}) {
            ok((grep { $_ =~ $case->{like} } @warned), 'a warning names the directive')
                or diag("warned: @warned");
        }
        else {
            is(scalar @warned, 0, 'worker lets a new child take the places of an old one');
        }
        $s->stop;
    }, @sizing);
}
announce(qr/PW00\d\d .*prefork/);

# A line that says the default changes nothing. What the dump does not have has
# its test elsewhere; here it is accepted.
subtest 'documented defaults' => sub {
    my %defaults = map { read_text($_) =~ /^\| Default \| `(WSGI\w+ \S+)` \|/m
        ? ($_ => $1) : () } glob "$ENV{PW_T_SRC}/docs/directives/*.md";
    cmp_ok(scalar keys %defaults, '>=', 18, 'pages with a default');
    my $dump = sub {
        $server->{conf} = "$_[0]\nWSGIScriptAlias /d/ \@APPS\@/\nWSGIScriptAlias / $info";
        my ($status, $said) = $server->run('-t', '-D', 'DUMP_POLYWSGI');
        is($status, 0, "accepted: $_[0]") or diag($said);
        $said =~ s/"line": \d+/"line": N/g;
        return $said =~ /^(\{.*\})/ms ? $1 : $said;
    };
    my $without = $dump->('');
    is($dump->($_), $without, "$_ is the default") for sort values %defaults;
};

subtest 'mod_wsgi beside it' => sub {
    chomp(my $dir = qx(apxs -q LIBEXECDIR 2>/dev/null));
    plan skip_all => 'mod_wsgi is not installed' if !-f "$dir/mod_wsgi.so";
    $server->{conf} = "LoadModule wsgi_module $dir/mod_wsgi.so";
    my ($status, $said) = $server->run('-t');
    isnt($status, 0, 'refused');
    like($said, qr/mod_wsgi/, 'and said why');
};

finish();

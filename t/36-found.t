# SPDX-License-Identifier: Apache-2.0
# Scripts that requests find: aliases to directories, patterns with $1, files
# with the handler wsgi-script; and which of them share an interpreter.
use PWTest;
use PWTest::Server;

announce(qr/AH00161/) if !threaded();

my $who = <<'END_APP';
import json, os
import polywsgi

TOKEN = os.urandom(8).hex()
COUNT = [0]

def answer(environ, start_response, name):
    COUNT[0] += 1
    seen = {k: v for k, v in environ.items() if isinstance(v, str)}
    seen.update(callable=name, interpreter=polywsgi.interpreter, token=TOKEN,
                count=COUNT[0], imported=hasattr(polywsgi, "imported"))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode()]

def application(environ, start_response):
    return answer(environ, start_response, "application")

def other(environ, start_response):
    return answer(environ, start_response, "other")
END_APP

# Under prefork one child, or an application would have a token in each.
my $sizing = threaded() ? undef : <<'END_SIZING';
StartServers 1
MinSpareServers 1
MaxSpareServers 1
ServerLimit 1
MaxRequestWorkers 1
END_SIZING
my $server = PWTest::Server->new(name => 'found', sizing => $sizing, conf => <<'END_CONF');
WSGIScriptAlias /dir/ @DIR@/scripts/
WSGIScriptAlias /noslash @DIR@/scripts
WSGIScriptAlias /grouped/ @DIR@/scripts/ application-group=joined
WSGIScriptAlias /block/ @DIR@/scripts/ interpreter=tuned
WSGIScriptAlias /other/ @DIR@/scripts/ callable-object=other
WSGIScriptAlias /main/ @DIR@/scripts/ application-group=%{GLOBAL}
WSGIScriptAlias /server/ @DIR@/scripts/ application-group=%{SERVER}
WSGIScriptAliasMatch ^/p/([a-z]+) @DIR@/scripts/$1.py
WSGIScriptAliasMatch ^/inside/([a-z]+)$ @DIR@/scripts/a.py/of/$1
WSGIScriptAliasMatch ^/fixed/(x|y)(?=/|$) @DIR@/apps/who.py
WSGIImportScript @DIR@/apps/first.py application-group=joined
WSGIImportScript @DIR@/apps/broken.py application-group=joined
<WSGIInterpreter tuned>
    WSGISetEnv TUNED yes
</WSGIInterpreter>
<Directory @DIR@/scripts>
    AllowOverride FileInfo
</Directory>
<Directory @DIR@/htdocs/run>
    Options ExecCGI FollowSymLinks
    AddHandler wsgi-script .py
    DirectoryIndex index.py
</Directory>
<Directory @DIR@/htdocs/run/plain>
    AcceptPathInfo Off
</Directory>
<Directory @DIR@/htdocs/run/nolinks>
    Options -FollowSymLinks
</Directory>
<Directory @DIR@/htdocs/run/group>
    WSGIApplicationGroup section
    WSGICallableObject other
</Directory>
<Directory @DIR@/htdocs/noexec>
    SetHandler wsgi-script
</Directory>
<Directory @DIR@/htdocs/denied>
    Options ExecCGI
    SetHandler wsgi-script
    Require all denied
</Directory>
<VirtualHost *:@PORT@>
    ServerName main.test:@PORT@
</VirtualHost>
<VirtualHost *:@PORT@>
    ServerName one.test
    DocumentRoot @DIR@/htdocs/one
    <Directory @DIR@/htdocs/one>
        Options ExecCGI
        SetHandler wsgi-script
    </Directory>
</VirtualHost>
<VirtualHost *:@PORT@>
    ServerName two.test
    DocumentRoot @DIR@/htdocs/two
    <Directory @DIR@/htdocs/two>
        Options ExecCGI
        SetHandler wsgi-script
    </Directory>
</VirtualHost>
END_CONF
my $dir  = $server->{dir};
my $here = "main.test:$server->{port}";
for my $below (qw(scripts scripts/sub htdocs/run htdocs/run/plain htdocs/run/nolinks
    htdocs/run/group htdocs/noexec htdocs/denied htdocs/one htdocs/two)) {
    mkdir "$dir/$below" or die "$dir/$below: $!";
}
write_text("$dir/$_", $who) for map { "$_.py" } qw(scripts/a scripts/b
    scripts/sub/c htdocs/run/index htdocs/run/h htdocs/run/plain/h
    htdocs/run/group/h htdocs/noexec/h htdocs/denied/h htdocs/one/h
    htdocs/two/h);
write_text("$dir/scripts/closed.py", $who);
chmod $> == 0 ? 0600 : 0000, "$dir/scripts/closed.py";
symlink "$dir/scripts/a.py", "$dir/htdocs/run/nolinks/h.py" or die;
$server->app('who.py', $who);
$server->app('first.py', "import polywsgi\npolywsgi.imported = True\n");
$server->app('broken.py', "import no_such_module_at_all\n");

announce(qr/PW0220|PW020[56]/);
ok($server->start, 'started');

# want: what the application saw.
my @table = (
    { name => 'a script below an alias to a directory', path => '/dir/a.py/x?q=1',
      want => { SCRIPT_NAME => '/dir/a.py', PATH_INFO => '/x',
        QUERY_STRING => 'q=1', SCRIPT_FILENAME => "$dir/scripts/a.py",
        interpreter => "$here|file:$dir/scripts/a.py", callable => 'application' }},
    { name => 'without more path', path => '/dir/b.py',
      want => { SCRIPT_NAME => '/dir/b.py', PATH_INFO => '',
        interpreter => "$here|file:$dir/scripts/b.py" }},
    { name => 'further below', path => '/dir/sub/c.py/y/z',
      want => { SCRIPT_NAME => '/dir/sub/c.py', PATH_INFO => '/y/z' }},
    { name => 'a detour', path => '/dir/sub/%2e%2e/a.py',
      want => { SCRIPT_NAME => '/dir/a.py', PATH_INFO => '',
        interpreter => "$here|file:$dir/scripts/a.py" }},
    { name => 'a directory without a slash', path => '/noslash/a.py/x',
      want => { SCRIPT_NAME => '/noslash/a.py', PATH_INFO => '/x',
        interpreter => "$here|file:$dir/scripts/a.py" }},
    { name => 'a name that the configuration gives', path => '/grouped/a.py',
      want => { interpreter => 'joined' }},
    { name => 'a block', path => '/block/a.py', want => { interpreter => 'tuned' }},
    { name => 'another callable', path => '/other/a.py/x',
      want => { callable => 'other', SCRIPT_NAME => '/other/a.py',
        interpreter => "$here|file:$dir/scripts/a.py" }},
    { name => 'the main interpreter', path => '/main/a.py',
      want => { interpreter => '%{GLOBAL}' }},
    { name => 'the one of the server', path => '/server/a.py',
      want => { interpreter => $here }},
    { name => 'a pattern with $1', path => '/p/a/x/y',
      want => { SCRIPT_NAME => '/p/a', PATH_INFO => '/x/y',
        interpreter => "$here|file:$dir/scripts/a.py" }},
    { name => 'what was caught behind the script', path => '/inside/tale',
      want => { PATH_INFO => '/of/tale', SCRIPT_FILENAME => "$dir/scripts/a.py" }},
    { name => 'a pattern with one script', path => '/fixed/y/z',
      want => { SCRIPT_NAME => '/fixed/y', PATH_INFO => '/z',
        interpreter => "$here|^/fixed/(x|y)(?=/|\$)" }},
    { name => 'a file with the handler', path => '/run/h.py/x',
      want => { SCRIPT_NAME => '/run/h.py', PATH_INFO => '/x',
        interpreter => "$here|file:$dir/htdocs/run/h.py" }},
    { name => 'a DirectoryIndex', path => '/run/',
      want => { SCRIPT_FILENAME => "$dir/htdocs/run/index.py",
        SCRIPT_NAME => '/run/index.py', PATH_INFO => '' }},
    { name => 'a section says interpreter and callable', path => '/run/group/h.py',
      want => { interpreter => 'section', callable => 'other' }},
    { name => 'a Host header chooses nothing', path => '/run/h.py',
      host => 'elsewhere.test:81',
      want => { interpreter => "$here|file:$dir/htdocs/run/h.py" }},
);
cases(sub {
    my ($case) = @_;
    my $a = $server->get($case->{path}, host => $case->{host} || 'main.test');
    is($a->{status}, 200, 'status') or diag($a->{body});
    my $seen = PWTest::decode($a, $case->{path});
    is($seen->{$_}, $case->{want}{$_}, $_) for sort keys %{ $case->{want} };
}, @table);

announce(qr/PW031[45]|AH00037|AH01630|AH00128/);
my @refused = (
    { name => 'a script that is not there', path => '/dir/none.py', status => 404 },
    { name => 'nor for a pattern', path => '/p/none', status => 404 },
    { name => 'the directory itself', path => '/dir/', status => 403,
      log => qr/PW0314 .*Mend/ },
    { name => 'one below it, where mod_dir is first', path => '/dir/sub',
      status => 301 },
    { name => 'a script that is closed', path => '/dir/closed.py', status => 403,
      log => qr/PW0314 .*closed\.py.*Mend/ },
    { name => 'a way out', path => '/dir/..%2fapps/who.py', status => 404 },
    { name => 'AcceptPathInfo Off', path => '/run/plain/h.py/x', status => 404 },
    { name => 'without ExecCGI', path => '/noexec/h.py', status => 403,
      log => qr/PW0315 .*ExecCGI.*Mend/ },
    { name => 'a directory with the handler', path => '/noexec/', status => 403 },
    { name => 'Require', path => '/denied/h.py', status => 403 },
    { name => 'a symbolic link where httpd follows none',
      path => '/run/nolinks/h.py', status => 403 },
);
cases(sub {
    my ($case) = @_;
    my $a = $server->get($case->{path});
    is($a->{status}, $case->{status}, 'status');
    unlike($a->{body}, qr/TOKEN|import/, 'the source is not shown');
    ok(scalar $server->lines($case->{log}), 'and the log says why') if $case->{log};
}, @refused);

sub token {
    my ($path, @more) = @_;
    return $server->get_json($path, @more)->{token} // "none for $path";
}

subtest 'what shares module state' => sub {
    my $a = token('/dir/a.py');
    is(token('/noslash/a.py'), $a, 'one file, by two aliases');
    is(token('/other/a.py'), $a, 'and for two callables: it has run once');
    is(token('/p/a'), $a, 'and by a pattern');
    isnt(token('/dir/b.py'), $a, 'two files do not');
    isnt(token('/grouped/a.py'), $a, 'nor two interpreters');
    isnt(token('/h.py', host => 'one.test'), token('/h.py', host => 'two.test'),
        'nor files of one name in two virtual hosts');
    my $one = $server->get_json('/h.py', host => 'one.test');
    is($one->{interpreter}, "one.test:$server->{port}|file:$dir/htdocs/one/h.py",
        'whose interpreters have the name of their file');
};

subtest 'WSGIImportScript' => sub {
    ok($server->get_json('/grouped/a.py')->{imported}, 'has run in its interpreter');
    ok(!$server->get_json('/dir/a.py')->{imported}, 'and in no other');
    my @lines = $server->lines(qr/PW0220 .*broken\.py failed/);
    is(scalar @lines, 1, 'one that fails has a record');
    ok((grep { /no_such_module/ } $server->lines(qr/PW0220/)), 'with its reason');
};

subtest '.htaccess names what the configuration names' => sub {
    write_text("$dir/scripts/.htaccess", "WSGIApplicationGroup joined\n");
    is($server->get_json('/dir/b.py')->{interpreter}, 'joined', 'that it may');
    write_text("$dir/scripts/.htaccess", "WSGIApplicationGroup unheard-of\n");
    announce(qr/PW0317/);
    is($server->get('/dir/b.py')->{status}, 500, 'and nothing else');
    ok((grep { /unheard-of.*Mend/ } $server->lines(qr/PW0317/)), 'with its mend');
    unlink "$dir/scripts/.htaccess";
};

subtest 'a script that does not load' => sub {
    announce(qr/PW0201/);
    write_text("$dir/scripts/bad.py", "import no_such_module_here\n");
    is($server->get('/dir/bad.py')->{status}, 500, 'is answered 500');
    write_text("$dir/scripts/bad.py", $who);
    is($server->get('/dir/bad.py')->{status}, 200, 'and mended by a new file');
};
$server->stop;
is(scalar $server->lines(qr/PW0190 .*requests=(\d+).* returned=\g1\b/), 1,
    'every lease was returned');

# One script more than may be.
sub refused {
    my ($s) = @_;
    my $a = $s->get('/dir/d.py');
    is($a->{status}, 503, 'one too many');
    ok($a->{h}{'retry-after'}, 'Retry-After');
    is(scalar $s->lines(qr/PW0323 .*d\.py answered 503/), 1, 'and its record');
    return;
}

# Where every interpreter has a request, none ends for another.
sub busy {
    my ($s) = @_;
    my @held = map {
        my $conn = $s->connect;
        $conn->send(PWTest::HTTP::head(path => "/dir/hold$_.py"));
        $conn;
    } 1, 2;
    ok(wait_for { -e "$s->{dir}/var/held1" && -e "$s->{dir}/var/held2" }, 'two are busy');
    is($s->get('/dir/b.py')->{status}, 503, 'none is idle: one that was known');
    is(scalar $s->lines(qr/PW0323 .*b\.py answered 503/), 1, 'is refused by its record');
    refused($s);
    write_text("$s->{dir}/var/go", 'go');
    is($_->response->{status}, 200, 'who was busy is served') for @held;
    return;
}

subtest 'WSGIInterpreterLimit' => sub {
    announce(qr/PW0323/);
    my $s = PWTest::Server->new(name => 'limit', sizing => $sizing, conf => <<'END_CONF');
WSGIInterpreterLimit 2
WSGIScriptAlias /dir/ @DIR@/scripts/
WSGIScriptAlias /joined/ @DIR@/scripts/ application-group=joined
END_CONF
    mkdir "$s->{dir}/scripts" or die;
    write_text("$s->{dir}/scripts/$_.py", $who) for qw(a b c d);
    write_text("$s->{dir}/scripts/hold$_.py", <<"END_APP") for 1, 2;
import os, time
def application(environ, start_response):
    open("$s->{dir}/var/held$_", "w").close()
    while not os.path.exists("$s->{dir}/var/go"):
        time.sleep(0.01)
    start_response("200 OK", [])
    return []
END_APP
    ok($s->start, 'started');
    # httpd listens before it says this.
    ok(wait_for { scalar $s->lines(qr/PW0001 .*up to 2 more/) },
        'the start says it');
    is($s->get("/dir/$_.py")->{status}, 200, "$_") for qw(a b a);
    if (python_at_least(13)) {
        is($s->get('/dir/c.py')->{status}, 200, 'one too many: one that is idle ends');
        ok((grep { /PW0125 \S*b\.py: .*make room for \S*c\.py/ } $s->lines(qr/PW0125/)),
            'the one that was idle longest');
        is($s->get('/dir/b.py')->{status}, 200, 'and it comes again');
        is(scalar $s->lines(qr/PW0125/), 2, 'in place of another');
        busy($s) if threaded();
    }
    else {
        refused($s);
    }
    is($s->get('/dir/b.py')->{status}, 200, 'the others go on');
    is($s->get_json('/joined/c.py')->{interpreter}, 'joined',
        'an interpreter of the configuration is none of them');
    is($s->get("/dir/none$_.py")->{status}, 404, 'what is not there makes none')
        for 1 .. 3;
    $s->stop;
};

my $limit2 = "WSGIInterpreterLimit 2\nWSGIScriptAlias /dir/ \@DIR\@/scripts/\n"
    . "<Location /status>\nSetHandler wsgi-status\n</Location>\n";

subtest 'a script whose first request is refused has no place' => sub {
    my $s = PWTest::Server->new(name => 'refused', conf => $limit2);
    mkdir "$s->{dir}/scripts" or die;
    write_text("$s->{dir}/scripts/$_.py", $who) for qw(a b c d);
    ok($s->start, 'started');
    for my $name (qw(a b)) {
        my $conn = $s->connect;
        $conn->send(PWTest::HTTP::head(method => 'POST', path => "/dir/$name.py",
            headers => [ 'Transfer-Encoding' => 'chunked' ]) . "zzz\r\n");
        is($conn->response->{status}, 400, "a bad body for $name");
    }
    is($s->get("/dir/$_.py")->{status}, 200, "$_ is served") for qw(c d);
    $s->stop;
};

subtest 'no more live than may' => sub {
    plan skip_all => 'needs interpreters that can end' if !python_at_least(14);
    plan skip_all => 'needs threads' if !threaded();
    announce(qr/PW0323/);
    my $s = PWTest::Server->new(name => 'crowd', conf => $limit2);
    mkdir "$s->{dir}/scripts" or die;
    write_text("$s->{dir}/scripts/$_.py", $who) for 0 .. 5;
    ok($s->start, 'started');
    my $bad = 0;
    for my $round (1 .. 60) {
        my @conns = map { $s->connect } 0 .. 7;
        $conns[$_]->send(PWTest::HTTP::head(path => '/dir/'
            . ($_ + $round * ($_ + 1)) % 6 . '.py')) for 0 .. 7;
        $bad += grep { $_->response->{status} !~ /^(?:200|503)$/ } @conns;
        $_->close for @conns;
    }
    is($bad, 0, 'served, or refused by the limit');
    my @live;
    wait_for {
        @live = grep { /scripts/ } map { $_->{name} } grep { @{ $_->{instances} } }
            @{ $s->get_json('/status?format=json')->{interpreters} };
        @live <= 2;
    } 5;
    cmp_ok(scalar @live, '<=', 2, 'no more live than may') or diag("@live");
    $s->stop;
};

chomp(my $modules = qx(apxs -q LIBEXECDIR 2>/dev/null));
subtest 'two tenants under VirtualDocumentRoot' => sub {
    plan skip_all => 'no mod_vhost_alias' if !-f "$modules/mod_vhost_alias.so";
    my $s = PWTest::Server->new(name => 'tenants', conf =>
        "LoadModule vhost_alias_module $modules/mod_vhost_alias.so\n" . <<'END_CONF');
UseCanonicalName Off
VirtualDocumentRoot @DIR@/tenants/%0
<Directory @DIR@/tenants>
    Options ExecCGI
    AddHandler wsgi-script .py
</Directory>
END_CONF
    mkdir "$s->{dir}/$_" for qw(tenants tenants/anna.test tenants/bert.test);
    write_text("$s->{dir}/tenants/$_.test/app.py", $who) for qw(anna bert);
    ok($s->start, 'started');
    my %seen = map { $_ => $s->get_json('/app.py', host => "$_.test") } qw(anna bert);
    is($seen{$_}{interpreter}, "main.test:$s->{port}|file:$s->{dir}/tenants/$_.test/app.py",
        "$_ has an interpreter of its file") for qw(anna bert);
    isnt($seen{anna}{token}, $seen{bert}{token}, 'and no module state in common');
    is($s->get('/app.py', host => $_)->{status}, $_ =~ /^ANNA/ ? 200 : 404, $_)
        for 'nobody.test', 'anna.test.evil', 'ANNA.test';
    is($s->get_json('/app.py', host => 'ANNA.TEST')->{token}, $seen{anna}{token},
        'capitals make no other one');
    $s->stop;
};

subtest 'many at once' => sub {
    my $s = PWTest::Server->new(name => 'atonce',
        conf => 'WSGIScriptAlias /dir/ @DIR@/scripts/');
    mkdir "$s->{dir}/scripts" or die;
    write_text("$s->{dir}/scripts/$_.py", $who) for 'a' .. 'f';
    ok($s->start, 'started');
    my @conns = map { [$_, $s->connect] } ('a' .. 'f') x 2;
    $_->[1]->send(PWTest::HTTP::head(path => "/dir/$_->[0].py")) for @conns;
    my %tokens;
    for my $pair (@conns) {
        my $a = $pair->[1]->response;
        is($a->{status}, 200, $pair->[0]);
        my $seen = PWTest::decode($a, $pair->[0]);
        like($seen->{interpreter}, qr/$pair->[0]\.py$/, 'its own interpreter');
        $tokens{$pair->[0]}{ $seen->{token} } = 1;
        $pair->[1]->close;
    }
    is(scalar keys %{ $tokens{$_} }, 1, "$_ was loaded once") for 'a' .. 'f';
    $s->stop;
} if threaded();

finish();

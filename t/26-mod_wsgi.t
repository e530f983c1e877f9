# SPDX-License-Identifier: Apache-2.0
# mod_wsgi's directives that are not ours, and the module under mod_wsgi's name.
use PWTest;
use PWTest::Server;

my $info = '@APPS@/info.py';

# error: what the text must name beside the directive; else it is accepted, and
# said once at the start where `quiet` is not set.
my @table = (
    { line => 'WSGIDaemonProcess blog user=blog threads=5',
      error => qr/<WSGIInterpreter>/ },
    { line => 'WSGIProcessGroup blog', error => qr/another|httpd's user|beside others/ },
    { line => 'WSGIProcessGroup %{GLOBAL}', quiet => 1 },
    { line => 'WSGIAccessScript /srv/access.py', error => qr/Require ip/ },
    { line => 'WSGIAuthUserScript /srv/auth.py', error => qr/AuthBasicProvider/ },
    { line => 'WSGIAuthGroupScript /srv/auth.py', error => qr/mod_authz_groupfile/ },
    { line => 'WSGIDispatchScript /srv/x.py', error => qr/WSGIApplicationGroup/ },
    { line => 'WSGIHandlerScript x /srv/x.py', error => qr/mod_actions/ },
    { line => 'WSGIPythonEggs /var/eggs', error => qr/WSGISetEnv PYTHON_EGG_CACHE/ },
    { line => 'WSGITrustedProxies 10.0.0.1', error => qr/mod_remoteip/ },
    { line => 'WSGITrustedProxyHeaders X-Forwarded-For', error => qr/mod_remoteip/ },
    { line => "<WSGIInterpreterOptions application-group=x>\n</WSGIInterpreterOptions>",
      error => qr/<WSGIInterpreter NAME>/ },
    { line => 'WSGIRestrictEmbedded On', error => qr/embedded mode/ },
    { line => 'WSGIRestrictEmbedded Off', quiet => 1 },
    { line => 'WSGIPassApacheRequest On', error => qr/environ/ },
    { line => 'WSGIPassApacheRequest Off', quiet => 1 },
    { line => 'WSGIFreeThreading On', error => qr/free-threaded/ },
    { line => 'WSGIFreeThreading Off', quiet => 1 },
    { line => 'WSGIPerInterpreterGIL Off', error => qr/WSGIIsolation shared-gil/ },
    { line => 'WSGIPerInterpreterGIL On', quiet => 1 },
    map({ +{ line => $_ } } 'WSGISocketPrefix /run/wsgi', 'WSGISocketRotation Off',
        'WSGIAcceptMutex default', 'WSGIRestrictProcess a b',
        'WSGIIgnoreActivity On', 'WSGILazyInitialization On',
        'WSGIDestroyInterpreter Off', 'WSGIGroupAuthoritative On',
        'WSGIVerboseDebugging On', 'WSGIServerMetrics On', 'WSGISlowRequests 5',
        'WSGITelemetryService on', 'WSGITelemetryOptions +all'),
);

my $server = PWTest::Server->new(name => 'foreign', conf => '');
cases(sub {
    my ($case) = @_;
    my ($name) = $case->{line} =~ /(\w+)/;
    for my $line ($case->{line}, $name =~ /Options$|DaemonProcess/ ? () :
            "<VirtualHost *:\@PORT\@>\n$case->{line}\n</VirtualHost>") {
        $server->{conf} = "$line\nWSGIScriptAlias / $info";
        my ($status, $said) = $server->run('-t');
        if ($case->{error}) {
            isnt($status, 0, 'refused');
            like($said, qr/<?\Q$name\E is a directive of mod_wsgi/, 'by its name');
            like($said, $case->{error}, 'says what to use');
            like($said, qr/Mend: /, 'and how');
            like($said, qr/line \d+/, 'and where');
        }
        else {
            is($status, 0, 'accepted') or diag($said);
        }
    }
}, map { +{ %$_, name => $_->{line} =~ s/\n.*//sr } } @table);

subtest 'what has no effect is said at the start' => sub {
    my @lines = map { $_->{line} } grep { !$_->{error} && !$_->{quiet} } @table;
    my @quiet = map { $_->{line} } grep { $_->{quiet} } @table;
    my $s = PWTest::Server->new(name => 'notes', conf => join "\n", @lines, @quiet,
        "WSGIScriptAlias / $info", "<VirtualHost *:\@PORT\@>", 'ServerName other.test',
        'WSGISocketPrefix /run/other', '</VirtualHost>');
    ok($s->start, 'started');
    my $all = wait_for { $s->lines(qr/PW0020/) >= @lines + 1 };
    ok($all, 'each is said');
    is(scalar $s->lines(qr/PW0020 .*line \d+.*Mend: remove/), @lines + 1, 'once');
    is($s->get('/')->{status}, 200, 'and the application runs');
    $s->stop;
};

# The module under mod_wsgi's name.
my $as = PWTest::Server->new(name => 'asmodwsgi', as => 'wsgi', conf => <<"END_CONF");
LogLevel info wsgi:debug
<IfModule mod_wsgi.c>
    WSGIScriptAlias /by/file $info
</IfModule>
<IfModule wsgi_module>
    WSGIScriptAlias /by/record $info
    <Directory \@DIR\@/htdocs>
        Options ExecCGI
        AddHandler wsgi-script .py
    </Directory>
</IfModule>
<IfModule mod_polywsgi.c>
    WSGIScriptAlias /by/own $info
</IfModule>
<WSGIInterpreter red>
    WSGIPythonHome \@VENVS\@/red
</WSGIInterpreter>
<Location /by/record>
    WSGIApplicationGroup red
</Location>
END_CONF
write_text("$as->{dir}/htdocs/x.py", read_text("$ENV{PW_T_DIR}/apps/info.py"));

subtest 'wsgi_module' => sub {
    my ($status, $said) = $as->run('-t', '-D', 'DUMP_POLYWSGI');
    is($status, 0, 'httpd -t accepts it') or diag($said);
    like($said, qr{"prefix": "/by/file"}, 'and dumps');
    ok($as->start, 'started');
    is($as->get("/by/$_")->{status}, 200, "by $_") for qw(file record);
    is($as->get_json('/by/record')->{interpreter}, 'red', 'a section holds');
    is($as->get('/x.py')->{status}, 200, 'a handler');
    is($as->get('/by/own')->{status}, 404, 'it is not there by its own name');
    ok(scalar $as->lines(qr/\[wsgi:info\] .*PW0200/), 'LogLevel and the log have the name');
    my ($child) = $as->children;
    $as->signal('USR1');
    ok(wait_for { !grep { $_ == $child } $as->children }, 'a graceful restart');
    is($as->get('/by/file')->{status}, 200, 'it serves again');
    $as->stop;
};

subtest 'the two names' => sub {
    my $so = $ENV{PW_T_MODULE};
    $server->{conf} = "<IfModule mod_wsgi.c>\nNoSuchDirective\n</IfModule>\n"
        . "<IfModule wsgi_module>\nNoSuchDirective\n</IfModule>\n"
        . "<IfModule mod_polywsgi.c>\nWSGIScriptAlias / $info\n</IfModule>";
    my ($status, $said) = $server->run('-t');
    is($status, 0, 'under its own name the other does not hold') or diag($said);
    $server->{conf} = "LoadModule wsgi_module $so\nWSGIScriptAlias / $info";
    ($status, $said) = $server->run('-t');
    isnt($status, 0, 'both at once are refused');
    like($said, qr/PW0019 .*polywsgi_module.*wsgi_module.*Mend/, 'and said why');
};
finish();

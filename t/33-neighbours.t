# SPDX-License-Identifier: Apache-2.0
# httpd's own features around an application: access, documents, rewriting,
# filters, logs, subrequests, internal redirects, macros.
use PWTest;
use PWTest::Server;

my $app = <<'END_APP';
import json

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/status/"):
        start_response(path[8:11] + " Chosen", [("Content-Type", "text/plain")])
        return [b"the application's page"]
    if path.startswith("/raise"):
        raise ValueError("provoked")
    if path.startswith("/abort"):
        def broken():
            yield b"x" * 20000
            raise ValueError("provoked")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return broken()
    if path.startswith("/html"):
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b"<p>here: <!--#include virtual=\"/app/text\" --></p>"]
    if path.startswith("/text"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"text of ", environ["PATH_INFO"].encode(), b" with ",
                environ["QUERY_STRING"].encode()]
    if path.startswith("/unread"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"unread"]
    if path.startswith("/count"):
        application.count = getattr(application, "count", 0) + 1
        start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "max-age=600"),
                                  ("Vary", "X-Kind")])
        return [b"%d" % application.count]
    body = environ["wsgi.input"].read()
    seen = {k: v for k, v in environ.items() if isinstance(v, str)}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(dict(seen, body=len(body), scheme=environ["wsgi.url_scheme"])).encode()]
END_APP

my $has_cache = PWTest::Server::has(qw(cache cache_disk));
my $load = PWTest::Server::load(qw(remoteip expires actions status info autoindex access_compat
    reqtimeout ratelimit cache cache_disk macro negotiation));
my $server = PWTest::Server->new(name => 'neighbours', conf => $load . <<'END_CONF');
WSGIScriptAlias /app @DIR@/apps/app.py
CustomLog @DIR@/access "%U %>s %B %X"
<Location /app/denied>
    Require all denied
</Location>
<Location /app/local>
    Require ip 127.0.0.1
</Location>
<Location /app/foreign>
    Require ip 192.0.2.1
</Location>
<Location /app/expr>
    Require expr "%{HTTP:X-Let} == 'me in'"
</Location>
<Location /app/user>
    AuthType Basic
    AuthName users
    AuthUserFile @DIR@/users
    Require user somebody
</Location>
ErrorDocument 404 /app/text/not-found
ErrorDocument 403 "httpd's page"
ErrorDocument 500 /fine.html
<Location /app/if>
    <If "%{QUERY_STRING} == 'yes'">
        SetEnv FROM_IF yes
        Header set X-If yes
    </If>
</Location>
Define WORD defined
SetEnv FROM_DEFINE ${WORD}
RewriteEngine On
RewriteRule ^/old/(.*)$ /app/$1 [R=302,L]
RewriteRule ^/pt/(.*)$ /app/$1?added=1 [PT,QSA]
RewriteRule ^/env/(.*)$ /app/$1 [PT,E=BY_RULE:$1]
<Directory @DIR@/htdocs/per>
    RewriteEngine On
    RewriteRule ^x/(.*)$ /app/$1 [L]
</Directory>
<Location /app/headers>
    Header set X-Set one
    Header append X-Set two
    Header always set X-Always yes
    RequestHeader set X-Req set
    RequestHeader unset X-Gone
</Location>
<Location /app/inflate>
    SetInputFilter DEFLATE
</Location>
<Location /app/html>
    Options +Includes
    SetOutputFilter INCLUDES
</Location>
<Directory @DIR@/htdocs>
    Options +Includes
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
</Directory>
<Directory @DIR@/htdocs/fallback>
    FallbackResource /app/fallback
</Directory>
<Directory @DIR@/htdocs/index>
    DirectoryIndex none.html /app/index
</Directory>
<IfModule actions_module>
    Action by-app /app/action
    <Directory @DIR@/htdocs/action>
        SetHandler by-app
    </Directory>
</IfModule>
<IfModule expires_module>
    <Location /app/expires>
        ExpiresActive On
        ExpiresDefault "access plus 1 hour"
    </Location>
</IfModule>
<IfModule remoteip_module>
    <VirtualHost *:@PORT@>
        ServerName main.test
        RewriteEngine On
        RewriteOptions Inherit
    </VirtualHost>
    <VirtualHost *:@PORT@>
        ServerName proxied.test
        RemoteIPHeader X-Forwarded-For
        RemoteIPInternalProxy 127.0.0.1
        SetEnvIf X-Forwarded-Proto https HTTPS=on
    </VirtualHost>
    <VirtualHost *:@PORT@>
        ServerName untrusted.test
        RemoteIPHeader X-Forwarded-For
        RemoteIPInternalProxy 192.0.2.7
    </VirtualHost>
</IfModule>
<IfModule status_module>
    <Location /server-status>
        SetHandler server-status
    </Location>
</IfModule>
<IfModule cache_disk_module>
    CacheRoot @DIR@/var/cache
    CacheQuickHandler off
    <Location /app/count>
        CacheEnable disk
        CacheHeader on
    </Location>
</IfModule>
END_CONF
my $dir = $server->{dir};
$server->app('app.py', $app);
write_text("$dir/users", 'somebody:' . crypt('secret', 'ab') . "\n");
for my $below (qw(per fallback index action)) {
    mkdir "$dir/htdocs/$below" or die $!;
}
mkdir "$dir/var/cache" or die $!;
chmod 01777, "$dir/var/cache";
write_text("$dir/htdocs/fine.html", 'a page of files');
write_text("$dir/htdocs/action/x.txt", 'a file');
write_text("$dir/htdocs/page.shtml", 'before, <!--#include virtual="/app/text/inc?q=1" -->, after');
announce(qr/PW040[12]/, qr/AH01630|AH01797|AH01617|AH01618|AH00128/);
ok($server->start, 'started');

my $login = 'Basic c29tZWJvZHk6c2VjcmV0';
# status and body of the answer; environ: what the application saw.
my @table = (
    { name => 'Require all denied', path => '/app/denied/x', status => 403, body => "httpd's page" },
    { name => 'Require ip', path => '/app/local', status => 200 },
    { name => 'Require another ip', path => '/app/foreign', status => 403 },
    { name => 'Require expr, not so', path => '/app/expr', status => 403 },
    { name => 'Require expr', path => '/app/expr', headers => [ 'X-Let' => 'me in' ], status => 200 },
    { name => 'Basic without', path => '/app/user/x', status => 401 },
    { name => 'Basic', path => '/app/user/x', headers => [ Authorization => $login ], status => 200,
      environ => { REMOTE_USER => 'somebody', AUTH_TYPE => 'Basic', HTTP_AUTHORIZATION => undef } },
    { name => 'an ErrorDocument of an application', path => '/nowhere?a=1', status => 200,
      body => 'text of /text/not-found with ' },
    { name => 'an error of the application is its own', path => '/app/status/404', status => 404,
      body => "the application's page" },
    { name => 'an exception has httpd\'s document', path => '/app/raise', status => 500,
      body => 'a page of files' },
    { name => 'If', path => '/app/if?yes', status => 200, header => { 'x-if' => 'yes' },
      environ => { FROM_IF => 'yes' } },
    { name => 'If, not so', path => '/app/if?no', status => 200, header => { 'x-if' => undef },
      environ => { FROM_IF => undef } },
    { name => 'Define', path => '/app', status => 200, environ => { FROM_DEFINE => 'defined' } },
    { name => 'RewriteRule with R', path => '/old/x', status => 302,
      header => { location => qr{/app/x$} } },
    { name => 'RewriteRule with PT and QSA', path => '/pt/x?q=2', status => 200, environ => {
        SCRIPT_NAME => '/app', PATH_INFO => '/x', QUERY_STRING => 'added=1&q=2',
        REQUEST_URI => '/pt/x?q=2' } },
    { name => 'RewriteRule with E', path => '/env/x', status => 200, environ => { BY_RULE => 'x' } },
    { name => 'RewriteRule of a directory', path => '/per/x/y?q', status => 200, environ => {
        SCRIPT_NAME => '/app', PATH_INFO => '/y', REQUEST_URI => '/per/x/y?q',
        REDIRECT_URL => '/per/x/y' } },
    { name => 'mod_headers', path => '/app/headers', headers => [ 'X-Gone' => 'x' ], status => 200,
      header => { 'x-set' => 'one, two', 'x-always' => 'yes' },
      environ => { HTTP_X_REQ => 'set', HTTP_X_GONE => undef } },
    { name => 'an included application', path => '/page.shtml', status => 200,
      body => 'before, text of /text/inc with q=1, after' },
    { name => 'a response through INCLUDES', path => '/app/html', status => 200,
      body => '<p>here: text of /text with </p>' },
    { name => 'FallbackResource', path => '/fallback/none/x', status => 200, environ => {
        SCRIPT_NAME => '/app', PATH_INFO => '/fallback', REQUEST_URI => '/fallback/none/x' } },
    { name => 'DirectoryIndex', path => '/index/?q', status => 200, environ => {
        SCRIPT_NAME => '/app', PATH_INFO => '/index', QUERY_STRING => 'q' } },
    { name => 'mod_expires', path => '/app/expires', status => 200, needs => 'expires',
      header => { 'cache-control' => 'max-age=3600' } },
    { name => 'an Action', path => '/action/x.txt', status => 200, needs => 'actions', environ => {
        SCRIPT_NAME => '/app', PATH_INFO => '/action/action/x.txt',
        REDIRECT_STATUS => '200', REDIRECT_URL => '/action/x.txt' } },
    { name => 'mod_remoteip', path => '/app', host => 'proxied.test', needs => 'remoteip',
      headers => [ 'X-Forwarded-For' => '198.51.100.9', 'X-Forwarded-Proto' => 'https' ],
      status => 200, environ => { REMOTE_ADDR => '198.51.100.9', scheme => 'https', HTTPS => 'on' } },
    { name => 'a proxy that is not trusted', path => '/app', host => 'untrusted.test',
      needs => 'remoteip', headers => [ 'X-Forwarded-For' => '198.51.100.9' ],
      status => 200, environ => { REMOTE_ADDR => '127.0.0.1', scheme => 'http' } },
    { name => 'mod_status beside it', path => '/server-status?auto', status => 200,
      needs => 'status', like => qr/^BusyWorkers: \d+$/m },
);
cases(sub {
    my ($case) = @_;
    plan skip_all => "no mod_$case->{needs}"
        if $case->{needs} && !PWTest::Server::has($case->{needs});
    my $a = $server->get($case->{path}, host => $case->{host} || 'main.test',
        headers => $case->{headers} || []);
    is($a->{status}, $case->{status}, 'status') or diag($a->{body});
    ok($a->{complete}, 'complete');
    is($a->{body}, $case->{body}, 'body') if defined $case->{body};
    like($a->{body}, $case->{like}, 'body') if $case->{like};
    my $header = $case->{header} || {};
    for my $name (sort keys %$header) {
        my @values = map { $_->[1] } grep { lc $_->[0] eq $name } @{ $a->{headers} };
        my $have = @values ? join ', ', @values : undef;
        ref $header->{$name} ? like($have // '', $header->{$name}, $name)
            : is($have, $header->{$name}, $name);
    }
    my $seen = $case->{environ} ? PWTest::decode($a, $case->{path}) : {};
    is($seen->{$_}, $case->{environ}{$_}, $_) for sort keys %{ $case->{environ} || {} };
}, @table);

subtest 'an upload through the DEFLATE input filter' => sub {
    require IO::Compress::Gzip;
    my $text = join '', map { $_ * 7919 } 1 .. 5000;
    IO::Compress::Gzip::gzip(\$text, \my $zipped);
    my $a = $server->get('/app/inflate', method => 'POST', body => $zipped,
        headers => [ 'Content-Encoding' => 'gzip' ]);
    is(PWTest::decode($a, 'inflate')->{body}, length $text, 'the application reads it unpacked');
};

subtest 'the access log' => sub {
    my $a = $server->get('/app/abort');
    ok(!$a->{complete}, 'an aborted response');
    ok(wait_for { read_text("$dir/access") =~ m{^/app/abort 200 20000 -$}m },
        'is logged with what was sent, and without keep-alive')
        or diag(read_text("$dir/access"));
    $server->get('/app/text', keep => 1)->{conn}->close;
    ok(wait_for { read_text("$dir/access") =~ m{^/app/text 200 19 [+-]$}m }, 'a whole one too')
        or diag(read_text("$dir/access"));
};

subtest 'bodies that nobody reads' => sub {
    my $conn = $server->connect;
    for my $n (1 .. 3) {
        $conn->send(PWTest::HTTP::head(method => 'POST', path => "/app/unread/$n",
            headers => [ 'Content-Length' => 50000 ]) . 'x' x 50000);
    }
    is($conn->response->{body}, 'unread', "request $_ on one connection") for 1 .. 3;
    $conn->close;
};

subtest 'mod_cache_disk in front of it' => sub {
    plan skip_all => 'no mod_cache_disk' if !$has_cache;
    my @kind = (headers => [ 'X-Kind' => 'a' ]);
    my $first = $server->get('/app/count', @kind)->{body};
    ok(wait_for { $server->get('/app/count', @kind)->{h}{'x-cache'} =~ /^HIT/ }, 'a hit comes');
    my $again = $server->get('/app/count', @kind)->{body};
    is($server->get('/app/count', @kind)->{body}, $again, 'the application is not asked');
    isnt($server->get('/app/count', headers => [ 'X-Kind' => 'b' ])->{body}, $again,
        'but for another variant');
    cmp_ok($again, '>=', $first, 'counted');
};
$server->stop;

subtest 'mod_reqtimeout' => sub {
    plan skip_all => 'no mod_reqtimeout' if !PWTest::Server::has('reqtimeout');
    my $s = PWTest::Server->new(name => 'reqtimeout', conf => PWTest::Server::load('reqtimeout')
        . "RequestReadTimeout header=1 body=1\nWSGIScriptAlias /app \@DIR\@/apps/app.py\n"
        . "<WSGIInterpreter catch>\nWSGIRequestBuffer 0\n</WSGIInterpreter>\n"
        . 'WSGIScriptAlias /catch @DIR@/apps/catch.py interpreter=catch');
    $s->app('app.py', $app);
    $s->app('catch.py', <<'END_APP');
def application(environ, start_response):
    try:
        environ["wsgi.input"].read()
        text = "read"
    except OSError as error:
        text = "OSError"
        environ["wsgi.errors"].write("caught: %s\n" % error)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]
END_APP
    announce(qr/AH01382/, qr/PW0408|PW0501 .*caught: the client sent no more/);
    ok($s->start, 'started');
    my $conn = $s->connect;
    $conn->send("GET /app HTTP/1.1\r\nHost: x");
    my $a = $conn->response;
    ok($a->{status} == 408 || $a->{status} == 0, "a slow head: $a->{status}");
    for my $case ([ '/app', 408 ], [ '/catch', 200 ]) {
        $conn = $s->connect;
        $conn->send(PWTest::HTTP::head(method => 'POST', path => $case->[0],
            headers => [ 'Content-Length' => 100 ]) . 'half');
        $a = $conn->response;
        ok($a->{status} == 408 || $case->[1] == 200, "a slow body at $case->[0]: $a->{status}");
        $conn->close;
    }
    ok(wait_for { scalar $s->lines(qr/PW0501 .*caught: the client sent no more/) },
        'the application saw OSError');
    is($s->get('/app')->{status}, 200, 'and goes on');
    $s->stop;
};

subtest 'mod_macro' => sub {
    plan skip_all => 'no mod_macro' if !PWTest::Server::has('macro');
    my $s = PWTest::Server->new(name => 'macro', conf => '');
    my $macro = "<Macro Site \$name \$more>\n<VirtualHost *:\@PORT\@>\nServerName \$name\n"
        . "WSGIScriptAlias / \@DIR\@/apps/app.py \$more\n</VirtualHost>\n</Macro>\n";
    my $head = PWTest::Server::load('macro');
    $s->app('app.py', $app);
    for my $case ([ 'colour=red', qr/WSGIScriptAlias.*colour/s ],
        [ 'interpreter=nowhere', qr/PW0007 interpreter=nowhere/ ]) {
        $s->{conf} = "$head$macro\nUse Site bad.test $case->[0]\n";
        my ($status, $said) = $s->run('-t');
        isnt($status, 0, "$case->[0] is refused");
        like($said, $case->[1], 'and says why');
        my ($use) = $s->text =~ /\A(.*^Use)/ms;
        my ($def) = $s->text =~ /\A(.*^<Macro)/ms;
        my ($use_line, $def_line) = map { tr/\n// + 1 } $use, $def;
        like($said, qr/macro 'site'.*line $def_line.*line $use_line/si,
            'names the macro, where it is defined, and where it is used');
    }
    $s->{conf} = "$head$macro\nUse Site one.test application-group=one\n"
        . "Use Site two.test application-group=two\n";
    ok($s->start, 'two sites of one macro');
    is($s->get("/text", host => "$_.test")->{body}, 'text of /text with ', $_) for qw(one two);
    $s->stop;
};

subtest 'a graceful stop waits for a response' => sub {
    my $s = PWTest::Server->new(name => 'gracefulstop',
        conf => 'WSGIScriptAlias /slow @DIR@/apps/slow.py');
    $s->app('slow.py', <<"END_APP");
import os, time
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first,"
    while not os.path.exists("$s->{dir}/var/go"):
        time.sleep(0.02)
    yield b"last"
END_APP
    ok($s->start, 'started');
    my $conn = $s->connect;
    $conn->send(PWTest::HTTP::head(path => '/slow', headers => [ Connection => 'close' ]));
    is($conn->read_head->{status}, 200, 'it begins');
    is($conn->read_chunk, 'first,', 'its first piece');
    $s->signal('WINCH');
    ok(wait_for { !$s->connects }, 'nothing new is taken');
    write_text("$s->{dir}/var/go", '');
    is($conn->read_chunk, 'last', 'the rest comes');
    is($conn->read_chunk, '', 'and the end');
    $conn->close;
    ok(wait_for { !$s->alive }, 'then httpd ends');
    $s->stop;
} if threaded();

finish();

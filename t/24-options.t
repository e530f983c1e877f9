# SPDX-License-Identifier: Apache-2.0
# What sections and .htaccess say of requests: Authorization, chunked bodies,
# HEAD, error documents, sendfile, the query in records.
use PWTest;
use PWTest::Server;

my $server = PWTest::Server->new(name => 'options', conf => <<'END_CONF');
WSGIScriptAlias /app @DIR@/apps/app.py
WSGIScriptAlias /option/on @DIR@/apps/app.py pass-authorization=On
WSGIScriptAlias /option/off @DIR@/apps/app.py pass-authorization=Off process-group=%{GLOBAL}
WSGIScriptAlias /under @DIR@/under/app.py
WSGIScriptReloading On
ErrorDocument 404 "httpd's own page"
ErrorDocument 500 "httpd's own page"
ErrorDocument 401 "httpd's own page"
<Directory @DIR@/under>
    AllowOverride FileInfo
</Directory>
<LocationMatch "^/app/private|^/option">
    AuthType Basic
    AuthName private
    AuthUserFile @T@/conf/users
    Require valid-user
</LocationMatch>
<Location /app/private/on>
    WSGIPassAuthorization On
</Location>
<Location /app/off>
    WSGIPassAuthorization Off
</Location>
<Location /app/unchunked>
    WSGIChunkedRequest Off
</Location>
<Location /app/head/on>
    WSGIMapHEADToGET On
</Location>
<Location /app/head/deflate>
    SetOutputFilter DEFLATE
</Location>
<Location /app/head/off>
    SetOutputFilter DEFLATE
    WSGIMapHEADToGET Off
</Location>
<Location /app/override>
    WSGIErrorOverride On
</Location>
<Location /app/query>
    WSGILogQuery On
</Location>
<Location /app/send/on>
    WSGIEnableSendfile On
</Location>
<Location /app/send/httpd>
    EnableSendfile On
</Location>
<VirtualHost *:@PORT@>
    ServerName main.test
</VirtualHost>
<VirtualHost *:@PORT@>
    ServerName off.test
    WSGIPassAuthorization Off
    <Location /app/again>
        WSGIPassAuthorization On
    </Location>
</VirtualHost>
END_CONF

my $app = <<'END_APP';
import json
from urllib.parse import unquote

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/override") or path.startswith("/error"):
        headers = [("Content-Type", "text/plain"), ("X-Own", "yes"),
                   ("WWW-Authenticate", 'Basic realm="own"'), ("Set-Cookie", "a=1")]
        start_response(unquote(environ["QUERY_STRING"]) or "404 Not Found", headers)
        return [b"the application's ", b"own page"]
    if path.startswith("/query") or path.startswith("/raise"):
        raise ValueError("provoked")
    if path.startswith("/send"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    body = environ["wsgi.input"].read()
    seen = {k: v for k, v in environ.items() if isinstance(v, str)}
    text = json.dumps(dict(seen, body=body.decode("latin-1"))).encode()
    start_response("200 OK", [("Content-Type", "application/json"),
                              ("X-Method", environ["REQUEST_METHOD"])])
    return [b""] if environ["REQUEST_METHOD"] == "HEAD" else [text]
END_APP
$server->app('app.py', $app);
mkdir "$server->{dir}/under" or die;
write_text("$server->{dir}/under/app.py", $app);
$server->{conf} =~ s/\@T\@/$ENV{PW_T_DIR}/g;

announce(qr/PW0401/);
ok($server->start, 'started');

my @passes = (
    { name => 'where httpd does not authenticate', path => '/app', passes => 1 },
    { name => 'Off', path => '/app/off', passes => 0 },
    { name => 'of a virtual host', path => '/app', host => 'off.test', passes => 0 },
    { name => 'and of a section in it', path => '/app/again', host => 'off.test',
      passes => 1 },
);
cases(sub {
    my ($case) = @_;
    my $seen = $server->get_json($case->{path}, host => $case->{host} || 'main.test',
        headers => [ Authorization => 'Bearer token' ]);
    is($seen->{HTTP_AUTHORIZATION}, $case->{passes} ? 'Bearer token' : undef,
        'HTTP_AUTHORIZATION');
}, @passes);

my $login = login();
my @checked = (
    { name => 'where httpd authenticates', path => '/app/private', passes => 0 },
    { name => 'On', path => '/app/private/on', passes => 1 },
    { name => 'the option of a mount', path => '/option/on', passes => 1 },
    { name => 'Off of a mount', path => '/option/off', passes => 0 },
);
cases(sub {
    my ($case) = @_;
    is($server->get($case->{path})->{status}, 401, 'without a password');
    my $a = $server->get($case->{path}, headers => [ Authorization => $login ]);
    is($a->{status}, 200, 'with it');
    my $seen = PWTest::decode($a, $case->{path});
    is($seen->{HTTP_AUTHORIZATION}, $case->{passes} ? $login : undef,
        'HTTP_AUTHORIZATION');
    is($seen->{AUTH_TYPE}, 'Basic', 'AUTH_TYPE');
    ok($seen->{REMOTE_USER}, 'REMOTE_USER');
}, @checked);

sub login {
    require MIME::Base64;
    # A user of the test's own, whose password is plain to crypt().
    my $salted = crypt 'secret', 'ab';
    write_text("$server->{dir}/users", "somebody:$salted\n");
    $server->{conf} =~ s{AuthUserFile \S+}{AuthUserFile $server->{dir}/users};
    $server->stop;
    ok($server->start, 'started with a user');
    return 'Basic ' . MIME::Base64::encode_base64('somebody:secret', '');
}

subtest '.htaccess' => sub {
    write_text("$server->{dir}/under/.htaccess", "WSGIPassAuthorization Off\n"
        . "WSGIChunkedRequest Off\nWSGIMapHEADToGET On\nWSGIErrorOverride On\n"
        . "WSGIEnableSendfile On\nWSGIScriptReloading On\n");
    my $seen = $server->get_json('/under', headers => [ Authorization => 'x' ]);
    is($seen->{HTTP_AUTHORIZATION}, undef, 'may say all of these');
    is($server->get('/under/error')->{body}, "httpd's own page", 'WSGIErrorOverride');
    write_text("$server->{dir}/under/.htaccess", "WSGILogQuery On\n");
    announce(qr/WSGILogQuery not allowed here/);
    is($server->get('/under')->{status}, 500, 'but not WSGILogQuery');
    unlink "$server->{dir}/under/.htaccess";
};

subtest 'WSGIChunkedRequest' => sub {
    my $chunks = "3\r\nabc\r\n0\r\n\r\n";
    my @chunked = ('Transfer-Encoding' => 'chunked');
    for my $case ([ '/app', 200 ], [ '/app/unchunked', 411 ]) {
        my $conn = $server->connect;
        $conn->send(PWTest::HTTP::head(method => 'POST', path => $case->[0],
            headers => [ @chunked, Connection => 'close' ]) . $chunks);
        my $a = $conn->response;
        is($a->{status}, $case->[1], $case->[0]);
        like($a->{body}, qr/"body": "abc"/, 'the body') if $case->[1] == 200;
        $conn->close;
    }
    is($server->get('/app/unchunked', method => 'POST', body => 'abc')->{status}, 200,
        'a body with a length is accepted');
    ok(scalar $server->lines(qr/PW0330 .*411/), 'the log says why');
};

my @heads = (
    { name => 'without a filter', path => '/app/head', method => 'HEAD' },
    { name => 'with a filter that wants the body', path => '/app/head/deflate',
      method => 'GET', deflated => 1 },
    { name => 'On', path => '/app/head/on', method => 'GET' },
    { name => 'Off', path => '/app/head/off', method => 'HEAD' },
);
cases(sub {
    my ($case) = @_;
    my @accept = (headers => [ 'Accept-Encoding' => 'gzip' ]);
    my $a = $server->get($case->{path}, method => 'HEAD', @accept);
    is($a->{status}, 200, 'status');
    is($a->{h}{'x-method'}, $case->{method}, 'what the application saw');
    is($a->{body}, '', 'no body');
    is($a->{h}{'content-encoding'}, $case->{deflated} ? 'gzip' : undef,
        'headers are those of GET') if $case->{method} eq 'GET';
    my $conn = $server->connect;
    $conn->send(PWTest::HTTP::head(path => $case->{path}, method => 'HEAD', @accept)
        . PWTest::HTTP::head(path => '/app/head?second'));
    is($conn->response('HEAD')->{status}, 200, 'HEAD on a connection');
    like($conn->response->{body}, qr/second/, 'and the next request behind it');
    $conn->close;
}, @heads);

my @errors = (
    { name => 'Off', path => '/app/error', status => 404, own => 1 },
    { name => 'On', path => '/app/override', status => 404 },
    { name => 'a server error', path => '/app/override', status => 500,
      query => '500 Oh' },
    { name => 'no error', path => '/app/override', query => '200 OK', status => 200,
      own => 1 },
    { name => 'a redirect', path => '/app/override', query => '302 Found',
      status => 302, own => 1 },
    { name => 'an authentication of its own', path => '/app/override',
      query => '401 No', status => 401 },
);
cases(sub {
    my ($case) = @_;
    my $query = $case->{query} // '';
    $query =~ s/ /%20/g;
    my $a = $server->get($case->{path} . ($query ? "?$query" : ''));
    is($a->{status}, $case->{status}, 'status') or diag($a->{body});
    is($a->{body}, $case->{own} ? "the application's own page" : "httpd's own page",
        'body');
    is($a->{h}{'x-own'}, $case->{own} ? 'yes' : undef, "the application's headers");
    like($a->{h}{'www-authenticate'}, qr/own/, 'WWW-Authenticate is kept');
    like($a->{h}{'set-cookie'}, qr/a=1/, 'and Set-Cookie');
}, @errors);

subtest 'WSGILogQuery' => sub {
    $server->get('/app/query?token=one');
    is(scalar(grep { /token=one/ } $server->lines(qr/PW0401 .*failed/)), 1, 'On');
    $server->get('/app/raise?token=two');
    is(scalar $server->lines(qr/token=two/), 0, 'Off');
};

subtest 'WSGIEnableSendfile' => sub {
    for my $path (qw(/app/send/on /app/send/httpd /app/send)) {
        my $a = $server->get($path);
        is($a->{body}, $app, "$path: the whole file");
        is($a->{h}{'content-length'}, length $app, 'and its length');
    }
};

is(scalar $server->lines(qr/PW0018 WSGIScriptReloading On .*line \d+.*graceful/), 2,
    'WSGIScriptReloading is said once at each start');
$server->stop;

my @bad = (
    [ 'WSGIMapHEADToGET maybe', qr/WSGIMapHEADToGET.*On, Off and Auto.*Mend/ ],
    [ 'WSGIPassAuthorization maybe', qr/WSGIPassAuthorization must be On or Off/ ],
    [ 'WSGIScriptAlias / x pass-authorization=maybe', qr/pass-authorization.*Mend/ ],
    [ 'WSGIScriptAlias / x process-group=blog',
      qr/process-group=blog.*<WSGIInterpreter blog>/ ],
    [ "<Location /x>\nWSGICaseSensitivity Off\n</Location>", qr/WSGICaseSensitivity/ ],
);
subtest 'what is no value' => sub {
    for my $case (@bad) {
        $server->{conf} = $case->[0];
        my ($status, $said) = $server->run('-t');
        isnt($status, 0, $case->[0]);
        like($said, $case->[1], 'says why');
    }
};
finish();

# SPDX-License-Identifier: Apache-2.0
# From the URL to the application: mounts, sections, .htaccess, what httpd's
# other modules do, and what becomes of a refused request body.
use PWTest;
use PWTest::Server;

my $server = PWTest::Server->new(name => 'mount', conf => <<'END_CONF');
WSGIScriptAlias /who @DIR@/apps/who.py
WSGIScriptAlias /whole @DIR@/apps/who.py callable-object=other
WSGIScriptAlias /under @DIR@/under/who.py
WSGIScriptAlias /gone @DIR@/none/gone.py
WSGIScriptAlias /closed @DIR@/closed/in/who.py
<WSGIInterpreter late>
    WSGIRequestBuffer 0
</WSGIInterpreter>
WSGIScriptAlias /eat/late @DIR@/apps/eat.py callable-object=late interpreter=late
WSGIScriptAlias /eat @DIR@/apps/eat.py
TraceEnable on
AddLanguage fr .py
<Directory @DIR@/under>
    AllowOverride FileInfo
</Directory>
<Directory @DIR@/htdocs/index>
    DirectoryIndex /who
</Directory>
<Directory @DIR@/htdocs/text>
    SetHandler wsgi-script
</Directory>
<Location /eat>
    LimitRequestBody 10
</Location>
<VirtualHost *:@PORT@>
    ServerName sections.test
    RequestHeader add X-Two a
    RequestHeader add X-Two b
    WSGIScriptAlias /by @DIR@/apps/who.py
    <Location /by/name>
        WSGIApplicationGroup elsewhere
        WSGICallableObject other
    </Location>
    <LocationMatch "^/by/[0-9]+$">
        WSGIApplicationGroup %{SERVER}
    </LocationMatch>
    WSGIScriptAlias /fixed @DIR@/apps/who.py application-group=fixed
    <Location /fixed>
        WSGIApplicationGroup elsewhere
    </Location>
    ErrorDocument 404 /who/not-found
</VirtualHost>
<VirtualHost *:@PORT@>
    ServerName root.test
    Alias /static @DIR@/htdocs/text
    WSGIScriptAlias / @DIR@/apps/who.py application-group=%{GLOBAL}
</VirtualHost>
<VirtualHost *:@PORT@>
    ServerName plain.test
</VirtualHost>
END_CONF

my $who = <<'END_APP';
import json
import polywsgi

def answer(environ, start_response, name):
    seen = {k: v for k, v in environ.items() if isinstance(v, str)}
    seen.update(callable=name, interpreter=polywsgi.interpreter)
    type = [("Content-Type", "application/json")]
    start_response("200 OK", [] if environ["QUERY_STRING"] == "bare" else type)
    return [json.dumps(seen).encode()]

def application(environ, start_response):
    return answer(environ, start_response, "application")

def other(environ, start_response):
    return answer(environ, start_response, "other")
END_APP
$server->app('who.py', $who);
$server->app('eat.py', <<'END_APP');
def application(environ, start_response):
    try:
        body = environ["wsgi.input"].read()
    except OSError:
        body = b"an answer that nobody must see"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]

def late(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"begun,")
    return [environ["wsgi.input"].read()]
END_APP
my $dir = $server->{dir};
for my $below (qw(under closed closed/in htdocs/index htdocs/text)) {
    mkdir "$dir/$below" or die "$dir/$below: $!";
}
write_text("$dir/under/who.py", $who);
write_text("$dir/under/.htaccess", "WSGIApplicationGroup unheard-of\n");
write_text("$dir/closed/in/who.py", $who);
write_text("$dir/htdocs/text/source.py", "SECRET = 1\n");
chmod $> == 0 ? 0700 : 0000, "$dir/closed";

announce(qr/PW0008 .*none/, qr/PW0042 .*closed/,
    qr/PW0202 .*(?:none|closed)/, qr/PW0205 .*closed/);
ok($server->start, 'started');

# want: keys of what the application saw.
my @table = (
    { name => 'a mount of the main server in a virtual host is the same one',
      host => 'sections.test', path => '/who/x',
      want => { interpreter => "main.test:$server->{port}|/who",
        SCRIPT_NAME => '/who', PATH_INFO => '/x', SERVER_NAME => 'sections.test' }},
    { name => 'and in the next', host => 'plain.test', path => '/who',
      want => { interpreter => "main.test:$server->{port}|/who",
        PATH_INFO => '' }},
    { name => 'a prefix is whole segments', path => '/whole',
      want => { callable => 'other', SCRIPT_NAME => '/whole' }},
    { name => 'repeated slashes count as one', path => '//who//a',
      want => { SCRIPT_NAME => '/who', PATH_INFO => '/a',
        REQUEST_URI => '//who//a' }},
    { name => 'a detour', path => '/other/%2e%2e/who/b',
      want => { SCRIPT_NAME => '/who', PATH_INFO => '/b' }},
    { name => 'without a section', host => 'sections.test', path => '/by',
      want => { interpreter => "sections.test:$server->{port}|/by",
        callable => 'application' }},
    { name => 'a section says interpreter and callable',
      host => 'sections.test', path => '/by/name/x',
      want => { interpreter => 'elsewhere', callable => 'other',
        SCRIPT_NAME => '/by', PATH_INFO => '/name/x' }},
    { name => 'a section with a pattern', host => 'sections.test',
      path => '/by/17',
      want => { interpreter => "sections.test:$server->{port}",
        callable => 'application' }},
    { name => 'what the mount says is stronger than a section',
      host => 'sections.test', path => '/fixed',
      want => { interpreter => 'fixed' }},
    { name => 'a root mount', host => 'root.test', path => '/who',
      want => { interpreter => '%{GLOBAL}', SCRIPT_NAME => '',
        PATH_INFO => '/who' }},
    { name => 'a header that RequestHeader added twice',
      host => 'sections.test', path => '/by', want => { HTTP_X_TWO => 'a, b' }},
    { name => 'an ErrorDocument', host => 'sections.test', path => '/nowhere?q',
      want => { SCRIPT_NAME => '/who', PATH_INFO => '/not-found',
        REDIRECT_STATUS => '404', REDIRECT_URL => '/nowhere',
        REQUEST_URI => '/nowhere?q' }},
    { name => 'a DirectoryIndex', path => '/index/',
      want => { SCRIPT_NAME => '/who', REQUEST_URI => '/index/' }},
);
cases(sub {
    my ($case) = @_;
    my $a = $server->get($case->{path}, host => $case->{host} || 'plain.test');
    is($a->{status}, 200, 'status');
    my $seen = PWTest::decode($a, $case->{path});
    is($seen->{$_}, $case->{want}{$_}, $_) for sort keys %{ $case->{want} };
}, @table);

subtest 'what others answer' => sub {
    is($server->get('/static/source.py', host => 'root.test')->{status}, 403,
        'an Alias goes before a root mount');
    my $a = $server->get('/text/source.py');
    is($a->{status}, 403, 'a file called wsgi-script is not run');
    unlike($a->{body}, qr/SECRET/, 'nor shown');
    is(scalar $server->lines(qr/PW0315 .*source\.py.*Mend/), 2,
        'and the log says so');
    is($server->get('/whoever', host => 'plain.test')->{status}, 404,
        'a prefix is no part of a segment');
    $a = $server->request(method => 'TRACE', path => '/who');
    is($a->{h}{'content-type'}, 'message/http', 'httpd answers TRACE');
    $a = $server->request(method => 'OPTIONS', path => '*', host => 'root.test');
    is($a->{status}, 200, 'and OPTIONS *');
    is($a->{body}, '', 'itself');
};
announce(qr/PW0315/);

subtest 'what mod_mime makes of the name of a script' => sub {
    my $a = $server->get('/who?bare');
    is($a->{h}{'content-type'}, undef, 'is not the type of the response');
    is($a->{h}{'content-language'}, undef, 'nor its language');
};

subtest 'only .htaccess can ask for what is not there' => sub {
    announce(qr/PW0310/);
    is($server->get('/under')->{status}, 500, 'then it is an error');
    ok((grep { /unheard-of.*Mend/ } $server->lines(qr/PW0310/)), 'with its mend');
    write_text("$dir/under/.htaccess", "WSGIApplicationGroup %{RESOURCE}\n");
    is($server->get_json('/under')->{interpreter},
        "main.test:$server->{port}|/under", 'what is there it may ask for');
};

subtest 'a script that cannot be had' => sub {
    my $a = $server->get('/gone');
    is($a->{status}, 503, 'missing, with its directory');
    ok($a->{h}{'retry-after'}, 'Retry-After');
    $a = $server->get('/closed/x');
    is($a->{status}, 503, 'behind a closed directory');
    ok($a->{h}{'retry-after'}, 'Retry-After');
    ok((grep { /Mend/ } $server->lines(qr/PW0312/)), 'with its mend');
};
announce(qr/PW0312|AH00529|AH00035|AH00132/);

# The answer to a body that is refused is httpd's, and nothing follows it.
my $long = 'x' x 20;
my @refused = (
    { name => 'too long', status => 413, body => $long },
    { name => 'too long, in chunks', status => 413, chunks => "14\r\n$long\r\n0\r\n\r\n" },
    { name => 'too long after a good chunk', status => 413,
      chunks => "2\r\nab\r\n14\r\n$long\r\n0\r\n\r\n" },
    { name => 'a bad chunk', status => 400, chunks => "2\r\nab\r\nzz\r\n\r\n" },
);
cases(sub {
    my ($case) = @_;
    for my $late (0, 1) {
        my $conn = $server->connect;
        my @how = defined $case->{body}
            ? ('Content-Length' => length $case->{body})
            : ('Transfer-Encoding' => 'chunked');
        $conn->send(PWTest::HTTP::head(method => 'POST',
            path => $late ? '/eat/late' : '/eat', headers => \@how)
            . ($case->{body} // $case->{chunks})
            . PWTest::HTTP::head(path => '/who?smuggled'));
        my $a = $conn->response;
        is($a->{status}, $late ? 200 : $case->{status}, 'status');
        ok($late ? !$a->{complete} : $a->{complete},
            $late ? 'a response that had begun is visibly incomplete'
            : 'httpd answers');
        1 while $conn->fill;
        unlike("$a->{body}$conn->{buf}", qr/nobody|HTTP|smuggled/,
            'and nothing follows');
        $conn->close;
    }
}, @refused);

$server->stop;
finish();

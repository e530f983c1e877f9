# SPDX-License-Identifier: Apache-2.0
# Odd and conflicting framing, and header fields that the RFCs forbid, from the
# client and from the application, over HTTP/1.1 and HTTP/2: nothing of it
# reaches environ or the wire, and no request hides in another.
use PWTest;
use PWTest::Server;
use PWTest::H2;

my $server = PWTest::Server->new(name => 'smuggling', conf => <<'END_CONF');
<IfModule http2_module>
    Protocols h2c http/1.1
</IfModule>
WSGIScriptAlias /app @DIR@/apps/app.py
WSGIScriptAlias /say @DIR@/apps/app.py callable-object=say
END_CONF
$server->app('app.py', <<'END_APP');
import json, sys

def application(environ, start_response):
    try:
        body = environ["wsgi.input"].read()
    except OSError as error:
        raise
    seen = {k: v for k, v in environ.items() if isinstance(v, str)}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(dict(seen, body=body.decode("latin-1"))).encode()]

def say(environ, start_response):
    """Sends the header of the query, NAME=VALUE with percent escapes."""
    from urllib.parse import unquote
    name, _equals, value = environ["QUERY_STRING"].partition("=")
    try:
        start_response("200 OK", [(unquote(name, "latin-1"), unquote(value, "latin-1"))])
    except Exception as error:
        start_response("200 OK", [("X-Refused", type(error).__name__)], sys.exc_info())
    return [b"body"]
END_APP
announce(qr/PW0408|PW0409|PW0401/, qr/AH0\d+|AH10\d+|h2_/);
ok($server->start, 'started');

my $H = "Host: main.test\r\n";
my $post = "POST /app HTTP/1.1\r\n$H";
my $next = "GET /app?smuggled HTTP/1.1\r\n${H}Connection: close\r\n\r\n";

# The raw request, and what may happen: `refused`: 4xx or 5xx of httpd and no
# second answer (but where `framed`); `body`: the application saw this body, and
# the pipelined request behind it is one of its own (or, `closes`, not read);
# `one`: only that no request hides in the first.
my @framing = (
    { name => 'Content-Length and chunked', raw =>
        "${post}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      body => 'abc', closes => 1 },
    { name => 'chunked and Content-Length', raw =>
        "${post}Transfer-Encoding: chunked\r\nContent-Length: 60\r\n\r\n0\r\n\r\n", body => '',
      closes => 1 },
    { name => 'two lengths', raw =>
        "${post}Content-Length: 3\r\nContent-Length: 60\r\n\r\nabc", refused => 1 },
    { name => 'two lengths in one', raw => "${post}Content-Length: 3, 60\r\n\r\nabc",
      refused => 1 },
    { name => 'the same length twice', raw =>
        "${post}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", one => 1 },
    { name => 'a plus', raw => "${post}Content-Length: +3\r\n\r\nabc", refused => 1 },
    { name => 'a minus', raw => "${post}Content-Length: -3\r\n\r\nabc", refused => 1 },
    { name => 'a hexadecimal length', raw => "${post}Content-Length: 0x3\r\n\r\nabc",
      refused => 1 },
    { name => 'a space in it', raw => "${post}Content-Length: 3 0\r\n\r\nabc", refused => 1 },
    { name => 'an empty one', raw => "${post}Content-Length: \r\n\r\n", one => 1 },
    { name => 'one beyond all bounds', raw =>
        "${post}Content-Length: 99999999999999999999\r\n\r\nabc", refused => 1 },
    { name => 'a space before the colon', raw =>
        "${post}Content-Length : 3\r\n\r\nabc", refused => 1 },
    { name => 'chunked twice', raw =>
        "${post}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", one => 1 },
    { name => 'chunked in two fields', raw =>
        "${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      one => 1 },
    { name => 'an unknown coding last', raw =>
        "${post}Transfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n", refused => 1 },
    { name => 'an unknown coding', raw =>
        "${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", refused => 1 },
    { name => 'a coding behind a tab', raw =>
        "${post}Transfer-Encoding:\tchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", body => 'abc' },
    { name => 'a vertical tab in it', raw =>
        "${post}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", refused => 1 },
    { name => 'a chunk size with a plus', raw =>
        "${post}Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n", refused => 1 },
    { name => 'a negative chunk size', raw =>
        "${post}Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", refused => 1 },
    { name => 'a chunk size with 0x', raw =>
        "${post}Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", refused => 1 },
    { name => 'a chunk size that overflows', raw =>
        "${post}Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n",
      refused => 1 },
    { name => 'a chunk that is longer than it says', raw =>
        "${post}Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n", refused => 1 },
    { name => 'a chunk extension', raw =>
        "${post}Transfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\n\r\n", body => 'abc' },
    { name => 'trailers', raw => "${post}Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
        . "3\r\nabc\r\n0\r\nX-T: trailing\r\nContent-Length: 9\r\n\r\n", body => 'abc' },
    { name => 'a folded field', raw => "GET /app HTTP/1.1\r\n${H}X-Fold: a\r\n b\r\n\r\n",
      one => 1, environ => { HTTP_X_FOLD => qr/^a\s+b$/ } },
    { name => 'a bare carriage return', raw =>
        "GET /app HTTP/1.1\r\n${H}X-A: b\rX-B: c\r\n\r\n", refused => 1 },
    { name => 'a NUL in a value', raw => "GET /app HTTP/1.1\r\n${H}X-A: b\0c\r\n\r\n",
      refused => 1 },
    { name => 'a control character in a value', raw =>
        "GET /app HTTP/1.1\r\n${H}X-A: b\x01c\r\n\r\n", refused => 1 },
    { name => 'a control character in a name', raw =>
        "GET /app HTTP/1.1\r\n${H}X\x01A: b\r\n\r\n", refused => 1 },
    { name => 'a name with a space', raw => "GET /app HTTP/1.1\r\n${H}X A: b\r\n\r\n",
      refused => 1 },
    { name => 'no name', raw => "GET /app HTTP/1.1\r\n$H: b\r\n\r\n", refused => 1 },
    { name => 'names that would be another variable', raw =>
        "GET /app HTTP/1.1\r\n${H}X_User: evil\r\nX-User: good\r\nX.User: evil\r\n"
        . "Content_Length: 60\r\nHTTP-X: a\r\nX!Bang: a\r\n\r\n",
      body => '', environ => { HTTP_X_USER => qr/^good$/, CONTENT_LENGTH => undef } },
    { name => 'no Host', raw => "GET /app HTTP/1.1\r\n\r\n", refused => 1 },
    { name => 'two Hosts', raw => "GET /app HTTP/1.1\r\n${H}Host: other.test\r\n\r\n",
      refused => 1 },
    { name => 'an absolute URI is stronger than Host', raw =>
        "GET http://main.test/app HTTP/1.1\r\nHost: other.test\r\n\r\n", body => '',
      environ => { SERVER_NAME => qr/^main\.test$/, HTTP_HOST => qr/^main\.test$/ } },
    { name => 'a space in the request line', raw => "GET /app /x HTTP/1.1\r\n$H\r\n",
      refused => 1 },
    { name => 'an unknown version', raw => "GET /app HTTP/9.9\r\n$H\r\n", one => 1 },
    { name => 'an encoded NUL in the path', raw => "GET /app/%00 HTTP/1.1\r\n$H\r\n",
      refused => 1, framed => 1 },
    { name => 'a path out of the root', raw => "GET /app/../../etc HTTP/1.1\r\n$H\r\n",
      refused => 1 },
    { name => 'a CONNECT', raw => "CONNECT /app HTTP/1.1\r\n$H\r\n", refused => 1 },
);
cases(sub {
    my ($case) = @_;
    my $conn = $server->connect;
    $conn->send($case->{raw} . $next);
    my $a = $conn->response;
    my $seen = $a->{status} == 200 ? PWTest::decode($a, $case->{name}) : {};
    if ($case->{refused}) {
        ok($a->{status} == 0 || $a->{status} >= 400, "status $a->{status}");
        my $second = $a->{status} && !$a->{closed} ? $conn->response : { status => 0 };
        # Where the path was wrong, but not the framing, the next one is good.
        is($second->{status}, $case->{framed} ? 200 : 0, 'what follows it');
    }
    else {
        is($seen->{body}, $case->{body}, 'body') if defined $case->{body};
        is($seen->{QUERY_STRING}, '', 'the first request') if $a->{status} == 200;
        unlike($seen->{body} // '', qr/GET|smuggled/, 'nothing of the next is in it');
        my $b = $a->{closed} ? { status => 0 } : $conn->response;
        if ($b->{status} == 200) {
            is(PWTest::decode($b, 'next')->{QUERY_STRING}, 'smuggled',
                'the second is the second');
        }
        is($b->{status}, $case->{closes} ? 0 : 200, 'what follows it')
            if defined $case->{body};
    }
    my $want = $case->{environ} || {};
    for my $key ($a->{status} == 200 ? sort keys %$want : ()) {
        defined $want->{$key} ? like($seen->{$key} // '', $want->{$key}, $key)
            : ok(!exists $seen->{$key}, "no $key");
    }
    ok(!(grep { /[^A-Z0-9_a-z.]/ } keys %$seen), 'no odd name in environ');
    ok(!(grep { /[\x00-\x08\x0a-\x1f\x7f]/ } values %$seen), 'no control character');
    $conn->close;
}, @framing);

# From the application. Each is refused, or harmless on the wire.
my @said = (
    (map { +{ name => $_, say => "$_=x", refused => 1 } } qw(Connection Keep-Alive
        Transfer-Encoding Upgrade TE Trailer Proxy-Connection X%20A X%0d%0aA X%00
        X%3a %20X X%c3%a9)),
    { name => 'an empty name', say => '=x', refused => 1 },
    (map { +{ name => "a value with $_", say => "X-A=a${_}b", refused => 1 } }
        qw(%0d%0aX-B:%20c %0a %0d %00 %01 %7f %0b)),
    { name => 'a tab', say => 'X-A=a%09b', header => qr/^a\tb$/ },
    { name => 'a byte that is no ASCII', say => 'X-A=a%e9', header => qr/^a\xe9$/ },
    { name => 'a length that is none', say => 'Content-Length=4x', refused => 1 },
    { name => 'two lengths in one', say => 'Content-Length=4,4', refused => 1 },
    { name => 'a length too small', say => 'Content-Length=2', body => 'bo' },
    { name => 'a length too large', say => 'Content-Length=9', short => 1 },
);
announce(qr/PW040[67]/);
cases(sub {
    my ($case) = @_;
    my $conn = $server->connect;
    $conn->send(PWTest::HTTP::head(path => "/say?$case->{say}"));
    my $a = $conn->response;
    is($a->{status}, 200, 'status');
    is(defined $a->{h}{'x-refused'} ? 1 : 0, $case->{refused} ? 1 : 0, 'refused');
    like($a->{h}{'x-a'}, $case->{header}, 'sent as it is') if $case->{header};
    ok(!defined $a->{h}{'x-b'}, 'no second header');
    is($a->{body}, $case->{body} // 'body', 'body') if !$case->{short};
    ok($case->{short} ? !$a->{complete} : $a->{complete}, 'complete, or visibly not');
    if (!$case->{short}) {
        $conn->send($next);
        is(PWTest::decode($conn->response, 'next')->{QUERY_STRING}, 'smuggled',
            'the connection is good for the next');
    }
    $conn->close;
}, @said);

# mod_http2 does not support prefork, and is not loaded there.
my $h2 = threaded() && PWTest::H2->new(port => $server->{port});
subtest 'HTTP/2' => sub {
    my @get = @{ PWTest::H2::get('/app?x') };
    my $plain = $h2->response($h2->send_headers(\@get, end => 1));
    is($plain->{status}, 200, 'a plain request');
    is(PWTest::decode($plain, 'h2')->{QUERY_STRING}, 'x', 'reaches the application');
    my @odd = (
        [ 'an uppercase name', [ 'X-Upper' => 'a' ] ],
        [ 'Connection', [ connection => 'close' ] ],
        [ 'Transfer-Encoding', [ 'transfer-encoding' => 'chunked' ] ],
        [ 'Keep-Alive', [ 'keep-alive' => '1' ] ],
        [ 'Upgrade', [ upgrade => 'x' ] ],
        [ 'TE with another value', [ te => 'gzip' ] ],
        [ 'a line end in a value', [ 'x-a' => "b\r\nx-b: c" ] ],
        [ 'a NUL in a value', [ 'x-a' => "b\0c" ] ],
        [ 'a line end in a name', [ "x-a\r\nx-b" => 'c' ] ],
        [ 'a space in a name', [ 'x a' => 'c' ] ],
        [ 'a colon in a name', [ 'x:a' => 'c' ] ],
        [ 'an empty name', [ '' => 'c' ] ],
        [ 'a second path', [ ':path' => '/other' ] ],
        [ 'an unknown pseudo-header', [ ':x' => 'y' ] ],
        [ 'a pseudo-header behind others', [ 'x-a' => 'b', ':authority' => 'x' ] ],
        [ 'two lengths', [ 'content-length' => '3', 'content-length' => '4' ] ],
        [ 'a length without a body', [ 'content-length' => '3' ] ],
    );
    for my $case (@odd) {
        my ($name, $fields) = @$case;
        my $c = PWTest::H2->new(port => $server->{port});
        my $a = $c->response($c->send_headers([ @get, @$fields ], end => 1));
        ok($a->{status} != 200 || !$a->{complete}, "$name: refused")
            or diag($a->{body});
        $c->close;
    }
    my @post = (':method' => 'POST', ':scheme' => 'http', ':path' => '/app',
        ':authority' => 'main.test');
    for my $length (2, 9) {
        my $c = PWTest::H2->new(port => $server->{port});
        my $id = $c->send_headers([ @post, 'content-length' => $length ]);
        $c->send_data($id, 'abcd', end => 1);
        my $a = $c->response($id);
        ok($a->{status} != 200 || !$a->{complete}, "a body of 4 that says $length: refused");
        $c->close;
    }
    my $fine = $h2->response($h2->send_headers([ @get, 'x_user' => 'evil', te => 'trailers' ],
        end => 1));
    my $seen = PWTest::decode($fine, 'h2');
    ok(!exists $seen->{HTTP_X_USER}, 'a name with an underscore does not pass for another');
    is($h2->response($h2->send_headers(PWTest::H2::get('/say?Connection=x'), end => 1))->{body},
        'body', 'a header that the application may not set');
} if $h2;
$h2->close if $h2;

$server->stop;
finish();

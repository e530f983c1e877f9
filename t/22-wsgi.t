# SPDX-License-Identifier: Apache-2.0
# PEP 3333 from the client's side. /kit runs under wsgiref.validate.
use PWTest;

my $serial = 0;

# A token that names the file of notes of one request.
sub token { return "wsgi-$$-" . ++$serial }

sub notes {
    my ($token) = @_;
    my $path = "$ENV{PW_T_DIR}/var/$token";
    return -f $path ? split(/\n/, read_text($path)) : ();
}

sub closes {
    my ($token) = @_;
    # The answer may arrive before close() is called.
    wait_for { grep { $_ eq 'close' } notes($token) } 5;
    return scalar grep { $_ eq 'close' } notes($token);
}

# body, status, header (name => value); notes; closed: close() must be called
# once; aborted: the response must be visibly incomplete.
my $big = 'x' x 20000;
my @table = (
    { path => '/kit/plain', body => "plain text\n",
      header => { 'content-type' => 'text/plain', 'x-kit' => 'two' } },
    { path => '/raw/plain', body => "plain text\n",
      header => { 'content-length' => 11, 'transfer-encoding' => undef } },
    { path => '/kit/several', body => 'abc' },
    { path => '/kit/generator', body => 'one,two' },
    { path => '/kit/late', status => 202, reason => 'Later', body => 'late' },
    { path => '/raw/late_empty', status => 202, body => 'late' },
    { path => '/kit/body', body => 'xy', closed => 1 },
    { path => '/kit/empty', body => '', header => { 'content-length' => 0 } },
    { path => '/kit/empty_body', body => '', closed => 1 },
    { path => '/kit/write', body => 'written,returned' },
    { path => '/kit/write_only', body => 'written', closed => 1 },
    { path => '/raw/write_str', body => 'ok', notes => qr/^TypeError/m },
    { path => '/kit/exc_before', status => 500, reason => 'Replaced',
      body => 'replaced', header => { 'x-first' => undef } },
    { path => '/raw/exc_after', aborted => 1, prefix => $big,
      notes => qr/^raised again after headers/m, log => qr/PW0402/ },
    { path => '/raw/twice', body => 'first stays', notes => qr/^raised \w+/m },
    { path => '/raw/fail', status => 500, log => qr/PW0401.*ValueError/ },
    { path => '/raw/fail_started', status => 500, log => qr/PW0401/ },
    { path => '/raw/fail_first', status => 500, closed => 1, log => qr/PW0401/ },
    { path => '/raw/fail_second', aborted => 1, prefix => $big, closed => 1,
      log => qr/PW0402/ },
    { path => '/raw/fail_declared', aborted => 1, closed => 1,
      log => qr/PW0402/ },
    { path => '/raw/fail_close_list', body => 'whole', closed => 1,
      log => qr/PW0405/ },
    { path => '/raw/leave', status => 500, log => qr/PW0401.*SystemExit/ },
    { path => '/raw/interrupt', status => 500,
      log => qr/PW0401.*KeyboardInterrupt/ },
    { path => '/raw/no_start', status => 500, log => qr/PW04/ },
    { path => '/raw/no_iterable', status => 500, log => qr/PW04/ },
    { path => '/raw/nothing', status => 500, log => qr/PW04/ },
    { path => '/raw/a_str', status => 500, log => qr/PW04/ },
    { path => '/raw/a_str_later', aborted => 1, closed => 1, log => qr/PW04/ },
    { path => '/kit/no_content', status => 204, body => '' },
    { path => '/kit/not_modified', status => 304, body => '' },
    { path => '/raw/body_in_204', status => 204, body => '' },
    { path => '/raw/big', body => join('',
        map { chr(65 + $_ % 26) x 65536 } 0 .. 63) },
);

sub check {
    my ($case) = @_;
    my $token = token();
    my $mark  = log_mark("$ENV{PW_T_DIR}/logs/error_log");
    announce($case->{log}) if $case->{log};
    my $a = get("$case->{path}?$token", keep => 1);
    if ($case->{aborted}) {
        is($a->{status}, 200, 'the status was sent');
        ok(!$a->{complete}, 'the response is visibly incomplete');
        is(substr($a->{body}, 0, length $case->{prefix}), $case->{prefix},
            'what was produced came') if $case->{prefix};
        ok($a->{conn}->closed, 'the connection was closed');
    }
    else {
        is($a->{status}, $case->{status} || 200, 'status');
        ok($a->{complete}, 'the response is complete');
        # The connection must be good for the next one; httpd itself closes
        # it after a status of 500.
        if (!grep { "@$_" =~ /^connection .*close/i } @{ $a->{headers} }) {
            $a->{conn}->send(PWTest::HTTP::head(path => '/kit/plain?again'));
            is($a->{conn}->response->{body}, "plain text\n",
                'and the next on the same connection too');
        }
        else {
            is($a->{status}, 500, 'closed after an error only');
        }
    }
    is($a->{reason}, $case->{reason}, 'reason') if $case->{reason};
    ok($a->{body} eq $case->{body}, 'body')
        or diag('got ' . substr($a->{body}, 0, 200)) if defined $case->{body};
    for my $name (sort keys %{ $case->{header} || {} }) {
        is($a->{h}{$name}, $case->{header}{$name}, $name);
    }
    if ($case->{closed}) {
        is(closes($token), 1, 'close() was called once');
    }
    like(join("\n", notes($token)), $case->{notes}, 'notes') if $case->{notes};
    if ($case->{log}) {
        my $found = wait_for {
            scalar grep { $_ =~ $case->{log} } log_since($mark)
        } 5;
        ok($found, 'the log says so');
    }
    $a->{conn}->close;
}
$_->{name} //= $_->{path} for @table;
announce(qr/PW040\d [^|]*\|/, qr/PW0402|PW0401/);
cases(\&check, @table);

subtest 'a failing close() after a streamed body' => sub {
    announce(qr/PW0405/);
    my $token = token();
    my $a = get("/raw/fail_close?$token");
    is($a->{status}, 200, 'status');
    is($a->{body}, 'whole', 'body');
    is(closes($token), 1, 'closed once');
};

for my $how (qw(stream stream_write)) {
    subtest "$how: a piece reaches the client before the next is made" => sub {
        my $token = token();
        my $conn  = PWTest::HTTP->new(port => $ENV{PW_T_PORT});
        $conn->send(PWTest::HTTP::head(path => "/kit/$how?$token"));
        my $a = $conn->read_head;
        is($a->{status}, 200, 'the head came');
        is($conn->read_chunk, 'first', 'the first piece came');
        write_text("$ENV{PW_T_DIR}/var/$token.go", '');
        is($conn->read_chunk, 'second', 'the second after our word');
        is($conn->read_chunk, '', 'then the end');
        $conn->close;
    };
}

subtest 'HEAD has the headers of GET' => sub {
    for my $path (qw(/kit/plain /raw/plain /kit/several /kit/generator
        /kit/body /kit/late /kit/write)) {
        my $token = token();
        my %by;
        for my $method (qw(GET HEAD)) {
            my $a = get("$path?$token$method", method => $method, keep => 1);
            my @h = map { "$_->[0]: $_->[1]" }
                grep { $_->[0] !~ /^(?:Date|Keep-Alive)$/i } @{ $a->{headers} };
            $by{$method} = join "\n", $a->{status}, sort @h;
            # A body would be taken for the next response.
            $a->{conn}->send(PWTest::HTTP::head(path => '/kit/empty?x'));
            is($a->{conn}->response->{status}, 200, "$path: nothing left over");
        }
        # httpd cannot know the framing of a body it has not seen.
        s/\n?Transfer-Encoding: chunked//i for values %by;
        is($by{HEAD}, $by{GET}, "$path: the same headers");
    }
    my $token = token();
    get("/kit/body?$token", method => 'HEAD');
    is(closes($token), 1, 'close() was called');
};

subtest 'ErrorDocument' => sub {
    my $a = get('/errdoc/fail?x');
    is($a->{status}, 500, 'status');
    is($a->{body}, 'the error document', 'httpd answers');
    is(get('/errdoc/exc_before?x')->{body}, 'replaced',
        'but not over a response of the application');
};

subtest 'through mod_deflate' => sub {
    my @gzip = (headers => [ 'Accept-Encoding' => 'gzip' ], keep => 1);
    my $a = get('/deflate/big?x', @gzip);
    is($a->{h}{'content-encoding'}, 'gzip', 'compressed');
    ok($a->{complete}, 'a good one is complete');
    $a->{conn}->close;
    for my $path (qw(fail_second exc_after fail_declared)) {
        my $b = get("/deflate/$path?" . token(), @gzip);
        ok(!$b->{complete}, "$path: an aborted one is incomplete");
        ok($b->{conn}->closed, "$path: and closed");
        $b->{conn}->close;
    }
};

subtest 'Content-Length' => sub {
    announce(qr/PW040[67]/);
    my @lengths = (
        { size => 10, body => '0123456789', complete => 1 },
        { size => 5, body => '01234', complete => 1 },
        { size => 7, body => '0123456', complete => 1 },
        { size => 0, body => '', complete => 1 },
        { size => 30, complete => 0 },
    );
    for my $case (@lengths) {
        for my $path (qw(declared declared_list)) {
            my $token = token() . "-$case->{size}";
            my $mark = log_mark("$ENV{PW_T_DIR}/logs/error_log");
            my $a = get("/raw/$path?$token", keep => 1);
            my $what = "$path of $case->{size}";
            if ($case->{complete}) {
                is($a->{h}{'content-length'}, $case->{size}, "$what: declared");
                is($a->{body}, $case->{body}, "$what: sent");
                $a->{conn}->send(PWTest::HTTP::head(path => '/kit/plain?n'));
                is($a->{conn}->response->{body}, "plain text\n",
                    "$what: the connection is not corrupted");
            }
            else {
                ok(!$a->{complete}, "$what: incomplete");
                ok($a->{conn}->closed, "$what: closed");
            }
            if ($case->{size} != 10) {
                my $n = grep { /PW040[67]/ } log_since($mark);
                is($n, 1, "$what: logged once");
            }
            is(closes($token), 1, "$what: close() once") if $path eq 'declared';
            $a->{conn}->close;
        }
    }
};

my $T = "('Content-Type', 'text/plain')";
my @start = (
    ["'200 OK', [$T]", 1], ["'299 Any Thing', [$T]", 1],
    ["'404 Not Found', [$T]", 1], ["'599 X', [$T]", 1],
    ["'200', [$T]", 0], ["'OK', [$T]", 0], ["'2000 OK', [$T]", 0],
    ["'20 OK', [$T]", 0], ["200, [$T]", 0], ["b'200 OK', [$T]", 0],
    ["'200 OK\\r\\nX: y', [$T]", 0], ["'200 OK\\n', [$T]", 0],
    ["'200 O\\0K', [$T]", 0], ["'100 Continue', [$T]", 0],
    ["'199 X', [$T]", 0], ["'099 X', [$T]", 0], ["'600 X', [$T]", 0],
    ["'200 \\u20ac', [$T]", 0],
    ["'200 OK', {}", 0], ["'200 OK', None", 0], ["'200 OK', 'x'", 0],
    ["'200 OK', ['ab']", 0], ["'200 OK', [('A',)]", 0],
    ["'200 OK', [('A', 'b', 'c')]", 0], ["'200 OK', [('A', 1)]", 0],
    ["'200 OK', [(b'A', 'b')]", 0], ["'200 OK', [('A', b'b')]", 0],
    ["'200 OK', [('A b', 'c')]", 0], ["'200 OK', [('A:', 'c')]", 0],
    ["'200 OK', [('', 'c')]", 0], ["'200 OK', [('A\\n', 'c')]", 0],
    ["'200 OK', [('\\xe9', 'c')]", 0],
    ["'200 OK', [('A', 'b\\nc')]", 0], ["'200 OK', [('A', 'b\\rc')]", 0],
    ["'200 OK', [('A', 'b\\0c')]", 0], ["'200 OK', [('A', 'b\\x7fc')]", 0],
    ["'200 OK', [('A', 'b\\r\\nSet-Cookie: c')]", 0],
    ["'200 OK', [('A', '\\u20ac')]", 0], ["'200 OK', [('A', '\\xe9')]", 1],
    ["'200 OK', [('A', 'b\\tc')]", 1], ["'200 OK', [('A', '')]", 1],
    (map { ["'200 OK', [('$_', 'x')]", 0] } qw(Connection Keep-Alive
        Transfer-Encoding transfer-encoding TE Trailer Upgrade
        Proxy-Authenticate Proxy-Authorization)),
    ["'200 OK', [('Content-Length', 'x')]", 0],
    ["'200 OK', [('Content-Length', '-1')]", 0],
    ["'200 OK', [('Content-Length', '8 ')]", 0],
    ["'200 OK', [('Content-Length', '')]", 0],
    ["'200 OK', [('Content-Length', '8'), ('Content-Length', '8')]", 0],
    ["'200 OK', [('Content-Length', '8')]", 1],
    ["'200 OK', [('Set-Cookie', 'a'), ('Set-Cookie', 'b')]", 1],
    ["'200 OK'", 0], ["'200 OK', [$T], None", 1],
);
subtest 'what start_response takes' => sub {
    for my $case (@start) {
        my ($args, $good) = @$case;
        my $query = join '', map { sprintf '%%%02x', ord } split //, "($args,)";
        my $a = get("/raw/start_with?$query");
        if ($good) {
            is($a->{body}, 'accepted', "accepts $args");
        }
        else {
            like($a->{body}, qr/^raised \w+/, "refuses $args");
            is($a->{status}, 200, "$args: nothing of it is sent");
        }
    }
    my $a = get('/raw/start_with?' . join '', map { sprintf '%%%02x', ord }
        split //, "('200 OK', [('Set-Cookie','a'),('X','1'),('Set-Cookie','b')])");
    my @cookies = map { $_->[1] } grep { lc $_->[0] eq 'set-cookie' }
        @{ $a->{headers} };
    is("@cookies", 'a b', 'repeated headers stay, in their order');
};

subtest 'the objects of a request are dead after it' => sub {
    my $pid   = get('/raw/keep')->{body};
    my $found = get_json('/raw/use_kept');
    plan skip_all => 'another process answered' if $found->{pid} != $pid;
    for my $name (qw(write start input line next)) {
        like($found->{$name}, qr/^\w*(?:Error|Exception)$/, "$name raises");
    }
    # Where two requests share a thread, the next one's objects are not reached.
    is(get('/kit/plain?x')->{status}, 200, 'and the process lives');
};

subtest 'the client goes away' => sub {
    my $token = token();
    my $conn  = PWTest::HTTP->new(port => $ENV{PW_T_PORT});
    $conn->send(PWTest::HTTP::head(path => "/raw/endless?$token"));
    is($conn->read_head->{status}, 200, 'it began');
    $conn->close;
    is(closes($token), 1, 'close() was called once');
};

subtest 'HTTP/1.0 and pipelining' => sub {
    my $a = get('/kit/generator?x', proto => 'HTTP/1.0');
    is($a->{body}, 'one,two', 'HTTP/1.0: until the connection closes');
    ok(!$a->{h}{'transfer-encoding'}, 'without chunks');
    my $conn = PWTest::HTTP->new(port => $ENV{PW_T_PORT});
    $conn->send(join '', map { PWTest::HTTP::head(path => "/kit/$_?x") }
        qw(plain generator empty several));
    my @bodies = map { $conn->response->{body} } 1 .. 4;
    is_deeply(\@bodies, ["plain text\n", 'one,two', '', 'abc'],
        'four pipelined requests, four answers in order');
    $conn->close;
};

finish();

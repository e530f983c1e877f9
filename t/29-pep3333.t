# SPDX-License-Identifier: Apache-2.0
# PEP 3333, what it demands of a server, section by section; what t/22-wsgi,
# t/30-input and t/31-file show is not repeated.
use PWTest;
use PWTest::Server;

my @callables = qw(AClass instance method of_class partial);
my $s = PWTest::Server->new(name => 'pep3333', conf => join "\n",
    'SetEnv PW_VAR @DIR@/var', 'SetEnv PW_CONFIGURED "by the deployer"',
    (map { "WSGIScriptAlias /$_ \@APPS\@/pep.py application-group=pep callable-object=$_" }
        @callables, 'validated'),
    'WSGIScriptAlias /pep @APPS@/pep.py application-group=pep');
ok($s->start, 'started');

my $serial = 0;

sub token { return "pep-$$-" . ++$serial }

sub notes {
    my ($token) = @_;
    my $path = "$s->{dir}/var/$token";
    return -f $path ? split(/\n/, read_text($path)) : ();
}

sub noted {
    my ($token, $what) = @_;
    return scalar grep { $_ eq $what } notes($token);
}

# pep: the section. body ('holds'), status, reason, header (name => value, or
# undef), log (a record), notes: all that is noted. aborted: the response must be
# visibly incomplete. closed: close() must be called, and once.
my @table = (
    { pep => 'Specification Overview', says => 'one call for one request',
      path => '/pep/once', notes => 'called' },
    (map { { pep => 'Specification Overview', says => "an application may be: $_",
      path => "/$_" } } @callables),
    { pep => 'Specification Details', says => 'environ is a dict of this request',
      path => '/pep/spoil' },
    { pep => 'environ Variables', says => 'all there, str, latin-1',
      path => '/pep/check_environ' },
    { pep => 'environ Variables', says => 'whatever the client sends',
      path => '/pep/check_environ/%E2%82%AC/%ff?%80', headers => [
        'X-Bytes' => "\xe2\x82\xac \xff", "X-\x27" => 'quoted', Cookie => "a=\xc3\xa9" ] },
    { pep => 'environ Variables', says => 'without a Host', raw =>
        "GET /pep/check_environ HTTP/1.0\r\n\r\n" },
    { pep => 'environ Variables', says => 'with a body', path => '/pep/check_environ',
      method => 'POST', body_of => 'x' },
    (map { { pep => 'Specification Details', says => "an iterable may be: $_",
      path => "/pep/iterable?$_", plain => 1 } }
        qw(list tuple generator iterator dict deque map file items)),
    { pep => 'Specification Details', says => 'no attribute but close is used',
      path => '/pep/noted', closed => 1,
      notes => join "\n", ('next') x 4, 'attribute close', 'close' },
    { pep => 'Specification Details', says => 'bytes are binary', path => '/pep/binary',
      body => join '', (map { chr } 0 .. 255), "\r\n\n\r\x1a" },
    { pep => 'Specification Details', says => 'close() is that of the iterable, not of its iterator',
      path => '/pep/around', closed => 1, without => 'inner close' },
    { pep => 'Specification Details', says => 'close() after a HEAD', method => 'HEAD',
      path => '/pep/noted_endless', body => '', closed => 1 },
    { pep => 'Specification Details', says => 'close() where there is no iterator',
      path => '/pep/refuses', status => 500, closed => 1, log => qr/PW0401.*no iterator/ },
    { pep => 'Specification Details', says => 'close() where start_response was not called',
      path => '/pep/noted_no_start', status => 500, closed => 1, log => qr/PW0403/ },
    { pep => 'Specification Details', says => 'close() after an error before the headers',
      path => '/pep/noted_fails', status => 500, closed => 1, log => qr/PW0401.*provoked/ },
    { pep => 'Specification Details', says => 'close() after an error behind the headers',
      path => '/pep/noted_fails_later', aborted => 'begun', closed => 1,
      log => qr/PW0402.*provoked/ },
    { pep => 'Specification Details', says => 'close() after SystemExit',
      path => '/pep/noted_exits', status => 500, closed => 1, log => qr/PW0401.*SystemExit/ },
    { pep => 'Specification Details', says => 'close() of a generator that is not exhausted',
      path => '/pep/finally_runs', closed => 1, log => qr/PW0407/, notes => "exit\nclose" },
    { pep => 'Input and Error Streams', says => 'no bytes past the end',
      path => '/pep/read_ended', method => 'POST', body_of => "one\ntwo\n" x 10 },
    { pep => 'Input and Error Streams', says => 'none where there is no body',
      path => '/pep/read_ended' },
    { pep => 'Input and Error Streams', says => 'none past a chunked body',
      path => '/pep/read_ended', raw => "POST /pep/read_ended HTTP/1.1\r\nHost: main.test\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n4\r\na\nb\n\r\n0\r\n\r\n" },
    { pep => 'Input and Error Streams', says => 'errors takes any text', path => '/pep/log',
      log => qr/PW0501.*three/ },
    { pep => 'start_response', says => 'write takes one bytestring',
      path => '/pep/write_takes' },
    { pep => 'start_response', says => 'may come with the last, empty piece',
      path => '/pep/started_late', body => '', reason => 'Late' },
    { pep => 'start_response', says => 'once without exc_info', path => '/pep/twice?good',
      reason => 'Third', plain => 1 },
    { pep => 'start_response', says => 'also where the first call raised',
      path => '/pep/twice?bad', reason => 'Third', plain => 1 },
    { pep => 'start_response', says => 'a refused call is none',
      path => '/pep/refused_twice', status => 500, log => qr/PW0403/ },
    { pep => 'start_response', says => 'no reference to exc_info is kept',
      path => '/pep/not_held' },
    { pep => 'start_response', says => 'raises exc_info again behind the headers',
      path => '/pep/raised_again' },
    { pep => 'start_response', says => 'header names in any case', path => '/pep/any_case',
      header => { 'content-type' => 'text/plain', 'content-length' => 5,
        'transfer-encoding' => undef } },
    { pep => 'start_response', says => 'what HTTP requires is added', path => '/pep/bare',
      header => { date => qr/ GMT$/, server => qr/^Apache/, 'content-length' => 5,
        'content-type' => undef } },
    { pep => 'Handling the Content-Length Header', says => 'no more is asked for',
      path => '/pep/noted_long', closed => 1, log => qr/PW0407/,
      header => { 'content-length' => 5 },
      notes => join "\n", ('next') x 2, 'attribute close', 'close' },
    { pep => 'Handling the Content-Length Header', says => 'write() past it raises',
      path => '/pep/write_long', log => qr/PW0407/ },
    { pep => 'Handling the Content-Length Header', says => 'and may end the application',
      path => '/pep/write_long_fails', log => qr/PW0402.*ValueError/ },
    { pep => 'Handling the Content-Length Header', says => 'that of one item',
      path => '/pep/iterable?tuple', header => { 'content-length' => 5 }, plain => 1 },
    { pep => 'Handling the Content-Length Header', says => 'but not behind write()',
      path => '/pep/write_and_one', header => { 'content-length' => undef } },
    (map { { pep => 'Unicode Issues', says => "a bytestring is no $_",
      path => "/pep/chunk?$_", status => 500, plain => 1, log => qr/PW0401.*TypeError/ } }
        qw(bytearray memoryview int array none list str)),
    { pep => 'Unicode Issues', says => 'nor the items of one', path => '/pep/returns_bytes',
      status => 500, log => qr/PW0401.*TypeError/ },
    { pep => 'Other HTTP Features', says => 'the server plays dumb', path => '/pep/own',
      status => 299, reason => 'In Our Own Words', header => {
        'x-mixed-case' => 'kept', 'x-lower' => 'kept', etag => '"x"',
        'content-encoding' => 'x-own', 'content-type' => 'x/y; z="1"',
        'cache-control' => 'no-store' } },
    { pep => 'wsgi.file_wrapper', says => 'an iterable that does nothing by itself',
      path => '/pep/wrapper_is' },
    { pep => 'wsgi.file_wrapper', says => 'may remain unused', path => '/pep/wrapper_unused',
      notes => '' },
    { pep => 'wsgi.file_wrapper', says => 'may be taken apart by middleware',
      path => '/pep/wrapper_middleware', closed => 1 },
    { pep => 'wsgi.file_wrapper', says => 'needs no close()', path => '/pep/wrapper_no_close' },
    { pep => 'wsgi.file_wrapper', says => 'begins where the file is when it is sent',
      path => '/pep/wrapper_moved' },
    (map { { pep => 'wsgiref.validate', says => $_, path => "/validated/valid_$_" } }
        qw(read write late file)),
    { pep => 'wsgiref.validate', says => 'exc_info', path => '/validated/valid_again',
      status => 500 },
    { pep => 'wsgiref.validate', says => '204', path => '/validated/valid_empty',
      status => 204, body => '' },
    (map { { pep => 'wsgiref.validate', says => "HEAD $_", path => "/validated/valid_$_",
      method => 'HEAD', body => '' } } qw(read write late file)),
    { pep => 'wsgiref.validate', says => 'POST', path => '/validated/valid_read',
      method => 'POST', body_of => 'posted', body => 'posted' },
);

sub ask {
    my ($case, $token) = @_;
    my $path = $case->{path} // '';
    $path .= "?$token" if !$case->{plain} && $path !~ /\?/;
    my @headers = @{ $case->{headers} || [] };
    push @headers, 'Content-Length' => length $case->{body_of} if defined $case->{body_of};
    my $conn = $s->connect;
    $conn->send($case->{raw} // (PWTest::HTTP::head(method => $case->{method},
        path => $path, headers => \@headers) . ($case->{body_of} // '')));
    my $a = $conn->response($case->{method});
    $a->{conn} = $conn;
    return $a;
}

sub check {
    my ($case) = @_;
    my $token = token();
    my $mark  = log_mark($s->{log});
    announce($case->{log}) if $case->{log};
    my $a = ask($case, $token);
    if (defined $case->{aborted}) {
        ok(!$a->{complete}, 'the response is visibly incomplete');
        is($a->{body}, $case->{aborted}, 'what was produced came');
    }
    else {
        ok($a->{complete}, 'the response is complete');
        is($a->{status}, $case->{status} // 200, 'status');
        is($a->{body}, $case->{body} // 'holds', 'body') if ($case->{status} // 200) != 500
            || $case->{path} =~ /again/;
    }
    $a->{conn}->close;
    is($a->{reason}, $case->{reason}, 'reason') if $case->{reason};
    for my $name (sort keys %{ $case->{header} || {} }) {
        my $want = $case->{header}{$name};
        ref $want ? like($a->{h}{$name}, $want, $name) : is($a->{h}{$name}, $want, $name);
    }
    if ($case->{closed}) {
        ok(wait_for { noted($token, 'close') }, 'close() was called');
        is(noted($token, 'close'), 1, 'once');
    }
    is(join("\n", notes($token)), $case->{notes}, 'all that happened')
        if defined $case->{notes};
    is(noted($token, $case->{without}), 0, "no $case->{without}") if $case->{without};
    if ($case->{log}) {
        ok(wait_for { grep { $_ =~ $case->{log} } log_since($mark, $s->{log}) },
            'the log says so');
    }
}
announce(qr/PW040[12] [^|]*\|/, qr/PW0501/, qr/PW0407/);
cases(\&check, map { { name => "$_->{pep}: $_->{says}", %$_ } } @table);

subtest 'environ Variables: another request is not touched' => sub {
    for (1 .. 20) {
        is($s->get('/pep/spoil')->{body}, 'holds', 'one spoils its environ');
        is($s->get('/pep/check_environ')->{body}, 'holds', 'the next has its own');
    }
};

subtest 'Other HTTP Features: Date and Server are the server\'s' => sub {
    my $a = $s->get('/pep/own');
    for my $name (qw(date server)) {
        my @found = grep { lc $_->[0] eq $name } @{ $a->{headers} };
        is(scalar @found, 1, "one $name");
    }
    my @kept = map { $_->[0] } grep { $_->[1] eq 'kept' } @{ $a->{headers} };
    is("@kept", 'X-Mixed-CASE x-lower', 'the case of names is kept');
};

# What the application does between two pieces must not be needed for the first.
sub paused {
    my ($path, $look, @more) = @_;
    my $token = token();
    my $conn  = $s->connect;
    $conn->send(PWTest::HTTP::head(path => "$path?$token", @more));
    ok(wait_for { noted($token, 'waits') }, 'the application waits for us');
    $look->($conn);
    write_text("$s->{dir}/var/$token.go", '');
    return $conn;
}

subtest 'start_response: headers are stored until there are bytes' => sub {
    my $conn = paused('/pep/stored', sub {
        ok(!$_[0]->ready(0), 'nothing was sent for empty pieces');
    });
    my $a = $conn->response;
    is("$a->{status} $a->{reason}", '503 Changed', 'the second status');
    is($a->{h}{'x-second'}, '2', 'the second headers');
    ok(!exists $a->{h}{$_}, "without the first $_") for qw(x-first content-type);
    is($a->{body}, 'changed', 'body');
    $conn->close;
};

subtest 'Buffering and Streaming: a block of a file-like object' => sub {
    my $conn = paused('/pep/wrapper_slow', sub {
        is($_[0]->read_head->{status}, 200, 'the headers came');
        is($_[0]->read_chunk, 'first', 'the first block came');
    });
    is($conn->read_chunk, 'second', 'then the second');
    is($conn->read_chunk, '', 'and the end');
    $conn->close;
};

my @expect = (method => 'POST', headers => [ 'Content-Length' => 5, Expect => '100-continue' ]);
subtest 'HTTP 1.1 Expect/Continue: answered by the first read' => sub {
    my $conn = paused('/pep/late_read', sub {
        ok(!$_[0]->ready(0), 'nothing before it');
    }, @expect);
    is($conn->line, 'HTTP/1.1 100 Continue', 'then it is');
    is($conn->line, '', 'alone');
    $conn->send('holds');
    is($conn->response->{body}, 'holds', 'and the body is read');
    $conn->close;
};

subtest 'HTTP 1.1 Expect/Continue: not for who does not read' => sub {
    my $conn = $s->connect;
    $conn->send(PWTest::HTTP::head(path => '/pep/once?' . token(), @expect));
    my $a = $conn->response;
    is($a->{status}, 200, 'answered');
    is("@{ $a->{interim} }", '', 'and only that');
    $conn->close;
};

subtest 'HTTP 1.1 Expect/Continue: not for HTTP/1.0' => sub {
    my $conn = $s->connect;
    $conn->send(PWTest::HTTP::head(path => '/validated/valid_read', @expect,
        proto => 'HTTP/1.0') . 'holds');
    my $a = $conn->response;
    is($a->{body}, 'holds', 'answered');
    is("@{ $a->{interim} }", '', 'and only that');
    $conn->close;
};

my @urls = (
    { path => '/pep/reconstruct' }, { path => '/pep/reconstruct/' },
    { path => '/pep/reconstruct/a%20b/%C3%A9?c=%20d' },
    { path => '/pep/reconstruct?' => url => '/pep/reconstruct' },
    { path => '/pep/reconstruct?x', host => 'other.test:99' },
    { path => '/pep/reconstruct?x', host => undef },
);
cases(sub {
    my ($case) = @_;
    my $conn = $s->connect;
    my $host = exists $case->{host} ? $case->{host} : 'main.test';
    $conn->send(defined $host ? PWTest::HTTP::head(path => $case->{path}, host => $host)
        : "GET $case->{path} HTTP/1.0\r\n\r\n");
    is($conn->response->{body}, 'http://' . ($host // "main.test:$s->{port}")
            . ($case->{url} // $case->{path}), 'the URL that was asked for');
    $conn->close;
}, map { { name => "URL Reconstruction: $_->{path} of "
            . (exists $_->{host} ? $_->{host} // 'no host' : 'main.test'), %$_ } } @urls);

for my $path (qw(noted_endless written_endless)) {
    subtest "Specification Details: $path ends when the client is gone" => sub {
        my $token = token();
        my $conn  = $s->connect;
        $conn->send(PWTest::HTTP::head(path => "/pep/$path?$token"));
        is($conn->read_head->{status}, 200, 'begun');
        $conn->close;
        ok(wait_for { noted($token, 'close') }, 'it was ended');
        is(noted($token, 'close'), 1, 'once');
        is((notes($token))[-1], 'close', 'and not asked for more');
        is(noted($token, 'stopped BrokenPipeError'), 1, 'write() raises an OSError')
            if $path =~ /^written/;
    };
}

subtest 'Input and Error Streams: every line is in the log' => sub {
    my $token = token();
    my $mark  = log_mark($s->{log});
    $s->get("/pep/log?$token");
    for my $word (qw(one two three four)) {
        my @found = grep { /PW0501.*: $word \Q$token\E/ } log_since($mark, $s->{log});
        is(scalar @found, 1, $word);
    }
};

$s->stop;
finish();

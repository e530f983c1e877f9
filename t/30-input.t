# SPDX-License-Identifier: Apache-2.0
# Request bodies: sized and chunked, every way to read them, big ones.
use PWTest;
use PWTest::Server;
use Digest::SHA ();
use JSON::PP;

sub quote { return join '', map { sprintf '%%%02x', ord } split //, $_[0] }

sub chunked {
    my (@pieces) = @_;
    return join('', map { sprintf("%x\r\n%s\r\n", length, $_) } @pieces)
        . "0\r\n\r\n";
}

# Reads `body` by `calls`, sized and chunked; the answers must be the same.
my $lines = "one\ntwo\r\n\nlast";
my @table = (
    { name => 'read()', raw => 1, calls => '[["read"],["read"]]', want => [$lines, ''] },
    { name => 'read(-1)', calls => '[["read",-1]]', want => [$lines] },
    { name => 'read(n)', calls => '[["read",5],["read",0],["read",100],["read",1]]',
      want => ["one\nt", '', "wo\r\n\nlast", ''] },
    { name => 'read(None)', raw => 1, calls => '[["read",null]]',
      want => [$lines] },
    { name => 'readline()', calls => '[["readline"],["readline"],["readline"],'
        . '["readline"],["readline"]]',
      want => ["one\n", "two\r\n", "\n", 'last', ''] },
    { name => 'readline(n)', calls => '[["readline",2],["readline",2],'
        . '["readline",9],["readline",0],["readline",-1]]',
      want => ['on', "e\n", "two\r\n", '', "\n"] },
    { name => 'readline(None)', raw => 1, calls => '[["readline",null]]',
      want => ["one\n"] },
    { name => 'readlines()', calls => '[["readlines"],["read",9]]',
      want => [["one\n", "two\r\n", "\n", 'last'], ''] },
    { name => 'readlines(hint)', calls => '[["readlines",4],["readlines",1000]]',
      want => [["one\n"], ["two\r\n", "\n", 'last']] },
    { name => 'iteration', calls => '[["list"],["read",9]]',
      want => [["one\n", "two\r\n", "\n", 'last'], ''] },
    { name => 'mixed', raw => 1, calls => '[["readline"],["next"],["read",1],["list"]]',
      want => ["one\n", "two\r\n", "\n", ['last']] },
    { name => 'no body', body => '', calls => '[["read",9],["readline"],["list"]]',
      want => ['', '', []] },
    { name => 'only newlines', body => "\n\n", calls => '[["readlines"]]',
      want => [["\n", "\n"]] },
    { name => 'every byte', body => join('', map { chr } 0 .. 255),
      calls => '[["read",999]]', want => [join '', map { chr } 0 .. 255] },
    { name => 'a long line', body => 'y' x 100000 . "\nend",
      calls => '[["readline"],["readline"]]', want => ['y' x 100000 . "\n", 'end'] },
);
cases(sub {
    my ($case) = @_;
    my $body = $case->{body} // $lines;
    my $app  = $case->{raw} ? 'raw' : 'kit';
    my $path = "/$app/read?" . quote($case->{calls});
    my @how  = (
        [ sized => body => $body ],
        [ chunked => headers => [ 'Transfer-Encoding' => 'chunked' ] ],
        [ split => headers => [ 'Transfer-Encoding' => 'chunked' ] ],
    );
    for my $how (@how) {
        my ($name, @options) = @$how;
        my $conn = PWTest::HTTP->new(port => $ENV{PW_T_PORT});
        my %o = (method => 'POST', path => $path, @options);
        my @headers = (@{ $o{headers} || [] }, Connection => 'close');
        push @headers, 'Content-Length' => length $body if $name eq 'sized';
        my @pieces = $name eq 'split' ? $body =~ /(.{1,3000})/gs : ($body);
        $conn->send(PWTest::HTTP::head(%o, headers => \@headers)
            . ($name eq 'sized' ? $body : chunked(grep { length } @pieces)));
        my $a = $conn->response;
        is($a->{status}, 200, "$name: answered");
        my $got = eval { decode_json($a->{body}) };
        is_deeply($got, $case->{want}, "$name: the same bytes");
        $conn->close;
    }
}, @table);

subtest 'a body that nobody reads' => sub {
    for my $size (10, 200_000) {
        my $conn = PWTest::HTTP->new(port => $ENV{PW_T_PORT});
        $conn->send(PWTest::HTTP::head(method => 'POST', path => '/kit/unread',
            headers => [ 'Content-Length' => $size ]) . 'u' x $size);
        is($conn->response->{body}, 'not read', "$size bytes: answered");
        $conn->send(PWTest::HTTP::head(path => '/kit/plain?x'));
        is($conn->response->{body}, "plain text\n", 'then the next request');
        $conn->close;
    }
};

subtest 'Expect: 100-continue' => sub {
    my $conn = PWTest::HTTP->new(port => $ENV{PW_T_PORT});
    my @headers = ('Content-Length' => 4, Expect => '100-continue');
    $conn->send(PWTest::HTTP::head(method => 'POST', headers => \@headers,
        path => '/kit/read?' . quote('[["read",9]]')));
    is($conn->line, 'HTTP/1.1 100 Continue', 'asked for');
    $conn->line;
    $conn->send('body');
    is_deeply(decode_json($conn->response->{body}), ['body'], 'and read');
    $conn->close;
};

subtest 'request and response interleave' => sub {
    my $conn = PWTest::HTTP->new(port => $ENV{PW_T_PORT});
    $conn->send(PWTest::HTTP::head(method => 'POST', path => '/raw/duplex',
        headers => [ 'Transfer-Encoding' => 'chunked' ]));
    $conn->send("4\r\none\n\r\n");
    is($conn->read_head->{status}, 200, 'the head');
    is($conn->read_chunk, "got one\n", 'an answer to the first line');
    $conn->send("4\r\ntwo\n\r\n");
    is($conn->read_chunk, "got two\n", 'and to the second');
    $conn->send("0\r\n\r\n");
    is($conn->read_chunk, '', 'and the end');
    $conn->close;
};

# The digest is made of a repeated block, so that we need no memory either.
sub upload {
    my ($server, $megabytes, $chunked) = @_;
    my $block = join '', map { chr(rand 256) } 1 .. 65536;
    my $sha   = Digest::SHA->new(256);
    my $conn  = $server->connect(timeout => 200);
    my @headers = $chunked ? ('Transfer-Encoding' => 'chunked')
        : ('Content-Length' => $megabytes * 1048576);
    $conn->send(PWTest::HTTP::head(method => 'PUT', path => '/kit/digest',
        headers => \@headers));
    for (1 .. $megabytes * 16) {
        $sha->add($block);
        $conn->send($chunked ? "10000\r\n$block\r\n" : $block) or last;
    }
    $conn->send("0\r\n\r\n") if $chunked;
    my $a = $conn->response;
    $conn->close;
    return (PWTest::decode($a, 'digest'), $sha->hexdigest);
}

subtest 'a big upload in constant memory' => sub {
    my $size = $ENV{PW_UPLOAD_MB} || 100;
    # Where no other application is loaded meanwhile.
    my $s = PWTest::Server->new(name => 'upload', conf => "LimitRequestBody 0\n"
        . 'WSGIScriptAlias /kit @APPS@/kit.py');
    ok($s->start, 'started');
    my ($warm) = upload($s, 2, 0);
    my $before = process_rss($warm->{pid});
    for my $chunked (0, 1) {
        my $how = $chunked ? 'chunked' : 'sized';
        my ($got, $sha) = upload($s, $size, $chunked);
        is($got->{size}, $size * 1048576, "$how: all of it");
        is($got->{sha256}, $sha, "$how: unchanged");
        ok($got->{terminated}, "$how: wsgi.input_terminated");
        is($got->{declared}, $chunked ? undef : $size * 1048576,
            "$how: CONTENT_LENGTH");
        next if $got->{pid} != $warm->{pid} || $ENV{PW_T_SANITIZER};
        my $more = process_rss($got->{pid}) - $before;
        cmp_ok($more, '<', 6000, "$how: $more KB more for $size MB");
    }
    $s->stop;
};

subtest 'the client goes away while it sends' => sub {
    announce(qr/PW04(?:01|08|09)/);
    for my $how (qw(sized chunked)) {
        my $token = "input-$$-$how";
        my $conn  = PWTest::HTTP->new(port => $ENV{PW_T_PORT});
        my $body  = $how eq 'sized';
        $conn->send(PWTest::HTTP::head(method => 'POST',
            path => "/raw/upload_fails?$token", headers => [ $body
                ? ('Content-Length' => 1000000) : ('Transfer-Encoding' => 'chunked') ])
            . ($body ? 'x' x 1000 : "3e8\r\n" . 'x' x 500));
        $conn->close;
        my $file = "$ENV{PW_T_DIR}/var/$token";
        my $text = wait_for { -f $file && read_text($file) =~ /^end$/m
            && read_text($file) };
        like($text, qr/OSError True/, "$how: reading raises OSError");
        unlike($text, qr/^whole/m, "$how: and does not pretend an end");
    }
};

subtest 'bad chunks' => sub {
    announce(qr/PW04(?:01|08|09)/, qr/AH0\d{4}/);
    my $token = "input-$$-bad";
    my $conn  = PWTest::HTTP->new(port => $ENV{PW_T_PORT});
    $conn->send(PWTest::HTTP::head(method => 'POST',
        path => "/raw/upload_fails?$token",
        headers => [ 'Transfer-Encoding' => 'chunked' ]) . "zzz\r\nabc\r\n");
    my $a = $conn->response;
    like($a->{status}, qr/^(?:400|500)$/, 'refused');
    my $file = "$ENV{PW_T_DIR}/var/$token";
    wait_for { -f $file && read_text($file) =~ /^end$/m };
    unlike(read_text($file), qr/^whole/m, 'no end is pretended');
    $conn->close;
};

subtest 'LimitRequestBody' => sub {
    announce(qr/AH0\d{4}.*(?:exceeds|larger|limit)/i, qr/PW04(?:01|08|09)/);
    is(request(method => 'POST', path => '/raw/limited?x', body => 'x' x 1000)
        ->{body}, '1000', 'below the limit');
    is(request(method => 'POST', path => '/raw/limited?x', body => 'x' x 200000)
        ->{status}, 413, 'above it: 413');
    my $conn = PWTest::HTTP->new(port => $ENV{PW_T_PORT});
    $conn->send(PWTest::HTTP::head(method => 'POST', path => '/raw/limited?x',
        headers => [ 'Transfer-Encoding' => 'chunked' ])
        . chunked(('x' x 50000) x 4));
    is($conn->response->{status}, 413, 'above it, chunked: 413');
    $conn->close;
};

finish();

# SPDX-License-Identifier: Apache-2.0
# wsgi.file_wrapper.
use PWTest;
use PWTest::Server;
use JSON::PP;

my $var = "$ENV{PW_T_DIR}/var";
my $data = join '', map { pack 'N', $_ } 0 .. 49_999;
write_text("$var/data.bin", $data);
write_text("$var/empty.bin", '');
my $serial = 0;

sub wrapped {
    my ($how, %o) = @_;
    my %how = (file => 'data.bin', %$how, token => "file-$$-" . ++$serial);
    my $query = join '', map { sprintf '%%%02x', ord } split //,
        encode_json(\%how);
    my $app = delete $o{app} || 'raw';
    my $a = get("/$app/wrapped?$query", keep => 1, %o);
    my $file = "$var/$how{token}";
    wait_for { -f $file && read_text($file) =~ /^close$/m } 5
        if ($how{object} // 'subclass') ne 'subclass';
    $a->{notes} = -f $file ? read_text($file) : '';
    # Another process cannot know.
    $a->{state} = threaded() && $app eq 'raw'
        ? get("/raw/wrapped_state?$how{token}")->{body} : 'closed';
    return $a;
}

# noted: the object has methods of its own, and these must be used.
my @table = (
    { name => 'a whole file', how => {}, body => $data },
    { name => 'another block size', how => { block => 100 }, body => $data },
    { name => 'from a position', how => { seek => 1000 },
      body => substr($data, 1000) },
    { name => 'from the end', how => { seek => 200000 }, body => '' },
    { name => 'from beyond the end', how => { seek => 300000 }, body => '' },
    { name => 'an empty file', how => { file => 'empty.bin' }, body => '' },
    { name => 'as much as declared', how => { declare => 1000 },
      body => substr($data, 0, 1000), length => 1000 },
    { name => 'exactly as declared', how => { declare => 200000 },
      body => $data, length => 200000 },
    { name => 'position and length', how => { seek => 8, declare => 8 },
      body => substr($data, 8, 8) },
    { name => 'less than declared', how => { declare => 200001 }, short => 1 },
    { name => 'unbuffered', how => { buffer => 0, seek => 10 },
      body => substr($data, 10) },
    { name => 'no descriptor', how => { object => 'bytes' }, body => $data,
      noted => 1 },
    { name => 'an object around a file', how => { object => 'noted' },
      body => $data, noted => 1 },
    { name => 'a subclass that reads otherwise', noted => 0,
      how => { object => 'subclass' }, body => uc $data, other => 1 },
    { name => 'after write()', how => { write => 'before' },
      body => "before$data" },
);
cases(sub {
    my ($case) = @_;
    announce(qr/PW0406/) if $case->{short};
    announce(qr/PW0407/) if $case->{name} =~ /declared|length/;
    my $a = wrapped($case->{how});
    if ($case->{short}) {
        ok(!$a->{complete}, 'incomplete');
        ok($a->{conn}->closed, 'closed');
        is(substr($data, 0, length $a->{body}), $a->{body},
            'and nothing that is not in the file');
    }
    else {
        is($a->{status}, 200, 'status');
        ok($a->{complete}, 'complete');
        ok($a->{body} eq $case->{body}, 'the bytes')
            or diag(length($a->{body}) . ' bytes came');
        is($a->{h}{'content-length'}, $case->{length} // length $case->{body},
            'Content-Length') if $case->{name} !~ /write/ && !defined $case->{noted};
        $a->{conn}->send(PWTest::HTTP::head(path => '/kit/plain?x'));
        is($a->{conn}->response->{body}, "plain text\n", 'the next request');
    }
    if ($case->{noted}) {
        my $closes = () = $a->{notes} =~ /^close$/mg;
        is($closes, 1, 'close() once');
        like($a->{notes}, qr/^read$/m, 'its own read() was used');
    }
    is($a->{state}, 'closed', 'the file was closed') if !$case->{other};
    $a->{conn}->close;
}, @table);

subtest 'under the validator' => sub {
    my $a = wrapped({}, app => 'kit');
    ok($a->{body} eq $data, 'the bytes');
    $a->{conn}->close;
};

subtest 'HEAD' => sub {
    my $a = wrapped({}, method => 'HEAD');
    is($a->{status}, 200, 'status');
    is($a->{h}{'content-length'}, length $data, 'the length of the file');
    $a->{conn}->send(PWTest::HTTP::head(path => '/kit/plain?x'));
    is($a->{conn}->response->{body}, "plain text\n", 'and no body');
    $a->{conn}->close;
};

subtest 'a pipe' => sub {
    is(get('/raw/wrapped_pipe')->{body}, 'through a pipe', 'is read');
};

subtest 'iterated by the application' => sub {
    is_deeply(get_json('/raw/wrapped_iter?data.bin'), [ (1000) x 200 ],
        'in blocks');
};

subtest 'a file that shrinks while it is sent' => sub {
    announce(qr/PW0406|AH\d{5}|PW040\d/);
    my $size = 64 * 1048576;
    sh_truncate("$var/shrinks.bin", $size);
    my $query = join '', map { sprintf '%%%02x', ord } split //, encode_json(
        { file => 'shrinks.bin', token => "file-$$-shrinks" });
    my $conn = PWTest::HTTP->new(port => $ENV{PW_T_PORT});
    $conn->send(PWTest::HTTP::head(path => "/raw/wrapped?$query"));
    my $a = $conn->read_head;
    is($a->{h}{'content-length'}, $size, 'announced');
    sh_truncate("$var/shrinks.bin", 1000);
    $conn->read_body($a, 'GET');
    ok(!$a->{complete}, 'visibly incomplete');
    unlike($a->{body}, qr/[^\0]/, 'and nothing foreign in it');
    $conn->close;
};

sub sh_truncate {
    my ($path, $size) = @_;
    open my $fh, '+>>', $path or die "$path: $!";
    truncate $fh, $size or die "$path: $!";
    close $fh or die "$path: $!";
    chmod 0644, $path;
    return;
}

subtest 'through mod_deflate' => sub {
    my $query = join '', map { sprintf '%%%02x', ord } split //, encode_json(
        { file => 'data.bin', token => "file-$$-deflate" });
    my $a = get("/deflate/wrapped?$query",
        headers => [ 'Accept-Encoding' => 'gzip' ]);
    is($a->{h}{'content-encoding'}, 'gzip', 'compressed');
    ok($a->{complete}, 'complete');
};

# Seen in the address space of the child, while a client does not read on.
subtest 'mapped where httpd would map a document' => sub {
    my $s = PWTest::Server->new(name => 'mapped', conf => <<'END_CONF');
WSGIScriptAlias / @DIR@/apps/send.py
<Location /off>
    EnableMMAP Off
</Location>
END_CONF
    my $file = "$s->{dir}/var/large.bin";
    $s->app('send.py', <<"END_APP");
def application(environ, start_response):
    mode = "r+b" if environ["PATH_INFO"] == "/writes" else "rb"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](open("$file", mode))
END_APP
    ok($s->start, 'started') or return;
    sh_truncate($file, 64 * 1048576);
    chmod 0666, $file;
    my %seen;
    for my $path (qw(reads off writes)) {
        my $conn = $s->connect;
        $conn->send(PWTest::HTTP::head(path => "/$path"));
        my $a = $conn->read_head;
        is($a->{status}, 200, "/$path");
        my $maps = sub { scalar grep { /large\.bin/ } map { read_text("/proc/$_/maps") } $s->children };
        $seen{$path} = $path eq 'reads' ? wait_for { $maps->() } : $maps->();
        $conn->read_body($a, 'GET');
        is(length $a->{body}, 64 * 1048576, 'all of it');
        $conn->close;
    }
    ok($seen{reads}, 'a file opened for reading');
    ok(!$seen{off}, 'not with EnableMMAP Off');
    ok(!$seen{writes}, 'nor one that the application may write to');
    $s->stop;
};

finish();

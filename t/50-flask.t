# SPDX-License-Identifier: Apache-2.0
# A Flask application on a virtual host of its own.
use PWTest;

my @host = (host => 'flask.test');
my $i = get_json('/', @host);
is($i->{interpreter}, 'flask', 'in its interpreter');
is($i->{url}, 'http://flask.test/', 'knows its address');
ok(!$i->{django}, 'and nothing of Django');

subtest 'a form and a file' => sub {
    my $b = 'boundary';
    my $body = join "\r\n", "--$b",
        'Content-Disposition: form-data; name="who"', '', "J\xc3\xbcrgen", "--$b",
        'Content-Disposition: form-data; name="upload"; filename="f.bin"',
        'Content-Type: application/octet-stream', '', 'z' x 100000, "--$b--", '';
    my $a = request(@host, method => 'POST', path => '/form', body => $body,
        headers => [ 'Content-Type' => "multipart/form-data; boundary=$b" ]);
    my $got = PWTest::decode($a, '/form');
    is($got->{form}{who}, "J\x{fc}rgen", 'a field');
    is_deeply($got->{upload}, ['f.bin', 100000], 'a file');
};

subtest 'a session in a cookie' => sub {
    my $cookie = '';
    for my $n (1 .. 3) {
        my $a = get('/count', @host, headers => [ Cookie => $cookie ]);
        is($a->{body}, $n, "request $n");
        ($cookie) = $a->{h}{'set-cookie'} =~ /^([^;]+)/;
    }
};

is(get('/stream', @host)->{body}, '0,1,2,3,4,', 'a streamed response');
is(get('/missing', @host)->{status}, 404, 'a 404 of Flask');

subtest 'an error of the application' => sub {
    announce(qr/PW0501.*flask/i);
    is(get('/fails', @host)->{status}, 500, 'Flask answers 500');
    ok(wait_for { log_count(qr/PW0501 .*ValueError: flask on purpose/) },
        'and its log record is in ours');
};

finish();

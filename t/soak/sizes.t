# SPDX-License-Identifier: Apache-2.0
# A pool whose size is a range: it grows under load, and a quiet minute later its
# newest instance ends, while requests are answered.
use PWTest;
use PWTest::Server;

plan skip_all => 'needs threads and more than one GIL'
    if !threaded() || !python_at_least(14);

my $s = PWTest::Server->new(name => 'sizes', conf => <<'END_CONF');
<WSGIInterpreter sized>
    WSGIInstances 1-2
    WSGIConcurrency 6
</WSGIInterpreter>
WSGIScriptAlias / @DIR@/apps/sized.py interpreter=sized
END_CONF
$s->app('sized.py', <<'END_APP');
import os, time
TOKEN = os.urandom(4).hex().encode()

def application(environ, start_response):
    end = time.thread_time() + (0.02 if environ["PATH_INFO"] == "/compute" else 0)
    while time.thread_time() < end:
        pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [TOKEN]
END_APP
ok($s->start, 'started');
my $first = $s->get('/')->{body};
my $bad   = 0;

my $grown = wait_for {
    my @conns = map { $s->connect } 1 .. 5;
    $_->send(PWTest::HTTP::head(path => '/compute')) for @conns;
    $bad += grep { $_->response->{status} != 200 } @conns;
    scalar $s->lines(qr/PW0200 sized/) == 2;
} 60;
ok($grown, 'it grows');
# A request that waits begins the minute anew: one at a time does not.
my $shrunk = wait_for {
    my $a = $s->get('/');
    $bad++ if $a->{status} != 200;
    scalar $s->lines(qr/ sized: instance 2 has ended/);
} 120;
ok($shrunk, 'and shrinks');
is(scalar $s->lines(qr/PW0124 sized: no request has waited for a GIL in 60 s; one of 2 instances ends/),
    1, 'which is said');
is($s->get('/')->{body}, $first, 'the older one goes on');
is($bad, 0, 'no request failed');
$s->stop;

finish();

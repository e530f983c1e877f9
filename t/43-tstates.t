# SPDX-License-Identifier: Apache-2.0
# Thread states: one for each thread and interpreter, kept while the thread
# lives, gone with it.
use PWTest;
use PWTest::Server;

subtest 'threading.local persists in a thread' => sub {
    my $conn = PWTest::HTTP->new(port => $ENV{PW_T_PORT});
    my (%seen, $again);
    for (1 .. 60) {
        $conn->send(PWTest::HTTP::head(path => '/info'));
        my $i = PWTest::decode($conn->response, '/info');
        my $key = "$i->{pid}/$i->{thread}";
        is($i->{first_thread}, $i->{thread}, 'the local value is of this thread')
            if $i->{first_thread} != $i->{thread};
        if ($seen{$key}) {
            $again++;
            is($i->{seen}, $seen{$key} + 1, 'and counts on')
                if $i->{seen} != $seen{$key} + 1;
        }
        $seen{$key} = $i->{seen};
    }
    ok($again, 'threads came again, with the values they had');
    $conn->close;
};

sub counters {
    my ($server) = @_;
    my %sum;
    for my $line ($server->lines(qr/PW0190/)) {
        $sum{$1} += $2 while $line =~ /\b([a-z_]+)=(\d+)/g;
    }
    return \%sum;
}

my ($h2load) = grep { -x } map { "$_/h2load" } split /:/, $ENV{PATH};
subtest 'threads of mod_http2 come and go' => sub {
    plan skip_all => 'needs threads' if !threaded();
    plan skip_all => 'no h2load (nghttp2-client)' if !$h2load;
    my $s = PWTest::Server->new(name => 'h2', conf => <<'END');
Protocols h2c http/1.1
H2MinWorkers 1
H2MaxWorkers 12
H2MaxWorkerIdleSeconds 1
WSGIQueueLimit 20
WSGIScriptAlias /a @APPS@/info.py application-group=a
WSGIScriptAlias /b @APPS@/info.py application-group=b
WSGIScriptAlias /g @APPS@/info.py application-group=%{GLOBAL}
END
    announce(qr/PW0023/); # a queue for all streams of h2load
    ok($s->start, 'started');
    $s->get("/$_") for qw(a b g);
    my $url = "http://127.0.0.1:$s->{port}";
    for my $round (1 .. 3) {
        # mod_http2 (2.4.69) now and then leaves a connection waiting for ever
        # when its idle workers are just ending; it does so with static files
        # too. Hence the time limit and the second try.
        my $ok = 0;
        for (1 .. 3) {
            my $said = qx(timeout 10 $h2load -n 600 -c 6 -m 10 -t 1 $url/a $url/b $url/g 2>&1);
            ($ok) = $said =~ /(\d+) succeeded/;
            last if ($ok //= 0) == 600;
        }
        is($ok, 600, "round $round: every request succeeded");
        # Idle workers of mod_http2 end after a second.
        my ($child) = $s->children;
        wait_for { threads_of($child) < 28 } 2;
    }
    $s->stop;
    my $c = counters($s);
    cmp_ok($c->{requests} || 0, '>=', 1800, 'requests were counted');
    is($c->{returned}, $c->{requests}, 'every lease was given back');
    cmp_ok($c->{tstates_created}, '>', 6, 'thread states were made');
    is($c->{tstates_freed}, $c->{tstates_created}, 'and all deleted');
    is($c->{threads_ended}, $c->{threads_seen}, 'no thread left an entry');
    is($c->{instances_parked} || 0, 0, 'nothing was parked');
};

sub threads_of {
    my ($pid) = @_;
    my ($n) = eval { read_text("/proc/$pid/status") =~ /^Threads:\s+(\d+)/m };
    return $n // 0;
}

subtest 'the counters of HTTP/1' => sub {
    my $s = PWTest::Server->new(name => 'counters',
        conf => 'WSGIScriptAlias / @APPS@/info.py');
    ok($s->start, 'started');
    $s->get('/') for 1 .. 20;
    $s->stop;
    my $c = counters($s);
    cmp_ok($c->{requests}, '>=', 20, 'requests');
    is($c->{tstates_freed}, $c->{tstates_created}, 'all freed');
};

finish();

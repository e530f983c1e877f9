# SPDX-License-Identifier: Apache-2.0
# WSGIPreload: when applications are loaded, and whether a new child waits.
use PWTest;
use PWTest::Server;

# Says so when it is loaded, after a file is there, and with each request.
my $APP = <<'END';
import os, time
while not os.path.exists("@GO@"):
    time.sleep(0.02)
def application(environ, start_response):
    print("request to @NAME@")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
END

sub server {
    my ($name, $conf, @apps) = @_;
    my $s = PWTest::Server->new(name => "preload-$name", conf => $conf);
    app($s, $_, "$s->{dir}/var/$_") for @apps;
    return $s;
}

sub app {
    my ($s, $name, $go) = @_;
    return $s->app("$name.py", $APP =~ s/\@NAME\@/$name/r =~ s/\@GO\@/$go/r);
}

sub go {
    my ($s, @apps) = @_;
    write_text("$s->{dir}/var/$_", '') for @apps;
    return;
}

# A connection with a request that has been sent.
sub ask {
    my ($s, $path) = @_;
    my $conn = $s->connect;
    $conn->send(PWTest::HTTP::head(path => $path, headers => [ Connection => 'close' ]));
    return $conn;
}

# For each child the codes and requests of its records, in their order: L an
# application has loaded, F one has failed, T it takes requests, R a request.
sub order {
    my ($s) = @_;
    my %of;
    for ($s->lines(qr/PW0200|PW0201|PW0160|request to/)) {
        my ($pid) = /\[pid (\d+)/;
        next if /PW0201 \S+(?: \(\S*)?: \|/;
        $of{$pid} .= /PW0200/ ? 'L' : /PW0201/ ? 'F' : /PW0160/ ? 'T' : 'R';
    }
    return \%of;
}

announce(qr/request to/, qr/PW0201/, qr/PW020[56]/, qr/PW0161|PW0303/, qr/AH00045/, qr/PW0191/,
    qr/AH00161/);    # prefork's few children are all held back

subtest 'wait: a child takes requests when all is loaded or has failed' => sub {
    my $s = server('wait', <<'END_CONF', qw(one two three));
WSGIPreload wait
WSGIScriptAlias /one @DIR@/apps/one.py
WSGIScriptAlias /two @DIR@/apps/two.py application-group=shared
WSGIScriptAlias /three @DIR@/apps/three.py application-group=%{GLOBAL}
WSGIScriptAlias /fails @DIR@/apps/fails.py application-group=shared
WSGIScriptAlias /broken @DIR@/apps/fails.py
END_CONF
    $s->app('fails.py', "raise ValueError('on purpose')\n");
    go($s, qw(one three));
    ok($s->start, 'started') or return;
    ok(wait_for { 2 <= scalar $s->lines(qr/PW0200 .*(?:one|three)/) }, 'two are loaded');
    my @waiting = map { ask($s, $_) } qw(/one /two /three /fails);
    ok(!$waiting[0]->ready(0.3), 'but none answers yet');
    is(scalar $s->lines(qr/PW0160/), 0, 'the child is held back');
    go($s, 'two');
    is_deeply([map { $_->response->{status} } @waiting], [200, 200, 200, 500],
        'all answer when the last is loaded');
    ok(wait_for { scalar $s->lines(qr/PW0160/) }, 'it says so');
    my %before = map { $_ => 1 } $s->children;
    $s->signal('USR1');
    my $next = wait_for {
        my $a = $s->get('/one');
        $a->{status} == 200 && !$before{ $a->{body} } && $a->{body};
    };
    ok($next, 'a graceful restart');
    is($s->get("/$_")->{status}, 200, "/$_ answers") for qw(one two three);
    $s->stop;
    my $order = order($s);
    like($order->{$_}, qr/^[LF]{5}T[RF]*$/, "loads first, then requests (child $_)")
        for grep { $order->{$_} =~ /T/ } keys %$order;
    like($order->{$next}, qr/T.*R/, 'in the fresh child too');
};

subtest 'wait: one that never finishes loading' => sub {
    my $s = server('hangs', <<'END_CONF', qw(one hangs));
WSGIStartupTimeout 30
<WSGIInterpreter slow>
    WSGIPreload wait
    WSGIStartupTimeout 700ms
</WSGIInterpreter>
WSGIScriptAlias /one @DIR@/apps/one.py
WSGIScriptAlias /hangs @DIR@/apps/hangs.py interpreter=slow
END_CONF
    go($s, 'one');
    ok($s->start, 'started') or return;
    is($s->get('/one')->{status}, 200, 'the other one answers');
    my $pid = $s->get('/one')->{body};
    is(scalar $s->lines(qr/\[pid $pid\b.*PW0161 slow: 1 of its applications .*\(700 ms\)/), 1,
        'the record says for which it did not wait');
    my @after = grep { /pid $pid\b/ && /PW016[01]|request to/ } $s->lines(qr/./);
    like($after[0], qr/PW0161/, 'first that');
    like($after[1], qr/PW0160 polywsgi: child $pid takes requests, after \d+ ms/, 'then it takes');
    like($after[2], qr/request to one/, 'requests');
    is($s->get('/hangs')->{status}, 503, 'a request to it waits as ever');
    go($s, 'hangs');
    ok(wait_for { $s->get('/hangs')->{status} == 200 }, 'later it serves');
    $s->stop;
};

subtest 'wait: one that computes does not keep another from loading' => sub {
    plan skip_all => '3.11 has one import lock for all interpreters (docs/internals)'
        if !python_at_least(12);
    my $s = server('busy', <<'END_CONF', qw(one));
WSGIPreload wait
WSGIIsolation shared-gil
WSGIScriptAlias /busy @DIR@/apps/busy.py
WSGIScriptAlias /one @DIR@/apps/one.py
END_CONF
    go($s, 'one');
    $s->app('busy.py', <<'END_APP');
import threading
def run():
    n = 0
    while True:
        n += 1
threading.Thread(target=run, daemon=True).start()
END_APP
    ok($s->start, 'started') or return;
    is($s->get('/one')->{status}, 200, 'it answers');
    is(scalar $s->lines(qr/PW0161/), 0, 'both were loaded, or had failed, in time');
    $s->stop;
};

subtest 'wait: httpd is stopped while a child is held back' => sub {
    my $s = server('stopped', <<'END_CONF', qw(hangs));
WSGIPreload wait
WSGIShutdownTimeout 1
WSGIScriptAlias / @DIR@/apps/hangs.py
END_CONF
    $s->app('hangs.py', "print('it begins')\n" . $APP =~ s/\@GO\@/$s->{dir}\/var\/hangs/r);
    announce(qr/it begins/);
    ok($s->start, 'started') or return;
    # Before that httpd, or the child, may have no handler of the signal yet.
    ok(wait_for { scalar $s->lines(qr/it begins/) }, 'the child loads its application');
    my $took = $s->stop(limit => 20, busy => 1);
    ok(defined $took, 'httpd ends by itself') or return;
    is($s->{status}, 0, sprintf 'with status 0, after %.1f s', $took);
    ok(scalar $s->lines(qr/PW0190/), 'the child has ended as others do');
    is(scalar $s->lines(qr/AH0004[67]/), 0, 'and was not killed');
    is(scalar $s->lines(qr/PW0160/), 0, 'no request was taken');
};

subtest 'off: nothing is loaded before it is asked for' => sub {
    my $s = server('off', <<'END_CONF', qw(one two three));
<WSGIInterpreter off>
    WSGIPreload off
</WSGIInterpreter>
<WSGIInterpreter imports>
    WSGIPreload off
</WSGIInterpreter>
WSGIScriptAlias /one @DIR@/apps/one.py
WSGIScriptAlias /two @DIR@/apps/two.py interpreter=off
WSGIScriptAlias /three @DIR@/apps/three.py interpreter=off
WSGIScriptAlias /again @DIR@/apps/three.py interpreter=off
WSGIScriptAlias /four @DIR@/apps/one.py interpreter=imports
WSGIImportScript @DIR@/apps/imported.py application-group=imports
END_CONF
    $s->app('imported.py', "print('it was imported')\n");
    announce(qr/it was imported/);
    go($s, qw(one two three));
    ok($s->start, 'started') or return;
    my $pid = $s->get('/one')->{body};
    ok(wait_for { scalar $s->lines(qr/\[pid $pid\b.*it was imported/) },
        'WSGIImportScript runs when the child starts');
    my $loaded = qr/PW0200 (?:off|imports \(main\S*\/four)/;
    is(scalar $s->lines($loaded), 0, 'but no application of theirs');
    is($s->get('/three')->{status}, 200, 'the first request loads one');
    is_deeply([map { m{\(main[^/]*(/\w+)\)} } $s->lines(qr/PW0200 off/)], ['/three'],
        'and only that') if threaded();
    is($s->get("/$_")->{status}, 200, "/$_ answers") for qw(two four again);
    $s->stop;
    my ($made) = map { /instances_created=(\d+)/ } $s->lines(qr/PW0190.*child $pid/);
    # main, one, imports; and off where this child had such a request.
    cmp_ok($made, '>=', 3, "$made interpreters were made");
};

subtest 'off: for all' => sub {
    my $s = server('alloff', <<'END_CONF', qw(one));
WSGIPreload off
WSGIScriptAlias / @DIR@/apps/one.py
END_CONF
    go($s, 'one');
    ok($s->start, 'started') or return;
    PWTest::wait_until_quiet($s->{port});
    $s->stop;
    my @made = map { /instances_created=(\d+)/ } $s->lines(qr/PW0190/);
    is_deeply([grep { $_ > 1 } @made], [], 'no interpreter but the main one was made');
};

finish();

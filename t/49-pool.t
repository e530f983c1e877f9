# SPDX-License-Identifier: Apache-2.0
# The pool of an interpreter: its instances, its limits, its queue, and the end
# of instances in a child that lives on.
use PWTest;
use PWTest::Server;

plan skip_all => 'a child of prefork runs one request' if !threaded();
my $own_gil = python_at_least(13);
my $ends    = python_at_least(14);

# Each instance has its token. `hold` waits until a file is there.
my $app = <<'END';
import os, time
TOKEN = os.urandom(4).hex()
VAR = os.path.join(os.path.dirname(os.path.dirname(__file__)), "var")
CALLS = os.path.join(VAR, "calls")

def application(environ, start_response):
    path = environ["PATH_INFO"]
    name = environ["QUERY_STRING"]
    with open(CALLS, "a") as calls:
        calls.write(name + "\n")
    if path == "/hold":
        while not os.path.exists(os.path.join(VAR, name)):
            time.sleep(0.005)
    if path == "/read":
        name = "read %d" % len(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [name.encode()]
    if path == "/compute":
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
    if path == "/large":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x" * 30000000, b"y" * 20000]
    body = "%s %s" % (TOKEN, environ["wsgi.multiprocess"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]
END

sub block {
    my ($name, @lines) = @_;
    return join "\n", "<WSGIInterpreter $name>", @lines, "</WSGIInterpreter>\n";
}

sub mount {
    my ($name) = @_;
    return "WSGIScriptAlias /$name \@DIR\@/apps/$name.py interpreter=$name\n";
}

my %pool = (
    two     => ['WSGIInstances 2', 'WSGIConcurrency 4'],
    narrow  => ['WSGIConcurrency 1', 'WSGIQueueLimit 2', 'WSGIQueueTimeout 30'],
    hasty   => ['WSGIConcurrency 1', 'WSGIQueueLimit 2', 'WSGIQueueTimeout 200ms'],
    renewed => ['WSGIInstances 2', 'WSGIMaxRequests 10'],
    broken  => ['WSGIMaxRequests 10'],
    edited  => ['WSGIMaxRequests 10', 'WSGIInstances 2'],
    parted  => ['WSGIMaxRequests 10', 'WSGIInstances 2'],
    object  => ['WSGIMaxRequests 5'],
    stuck   => ['WSGIInstances 1-2', 'WSGIConcurrency 6'],
    idle    => ['WSGIIdleTimeout 1'],
    parking => ['WSGIMaxRequests 3', 'WSGIParkLimit 1'],
    growing => ['WSGIInstances 1-2', 'WSGIConcurrency 6'],
    wide    => ['WSGIConcurrency 2', 'WSGIQueueLimit 0'],
    leaving => ['WSGIMaxRequests 3'],
);
my $server = PWTest::Server->new(name => 'pool', conf => join '',
    "<Location /status>\nSetHandler wsgi-status\n</Location>\n",
    (map { block($_, @{ $pool{$_} }) . mount($_) } sort keys %pool));
$server->app("$_.py", $app) for keys %pool;
$server->app('parking.py', "import threading\nlock = threading.Lock()\nlock.acquire()\n"
    . "threading.Thread(target=lock.acquire, daemon=True).start()\n$app");

# One whose module changes, not its script.
$server->app('part.py', "WORD = 'old'\n");
$server->app('parted.py', "import sys\nsys.path.insert(0, '$server->{dir}/apps')\nimport part\n"
    . $app =~ s/body = "%s %s" % \(/body = "%s %s %s" % (part.WORD, /r);

# Two that load a shared object, each its copy of one of Python's own.
chomp(my $lib = qx($ENV{PW_T_PYTHON} -c 'import sysconfig as s; print(s.get_path("platstdlib"))'));
my ($object) = map { glob "$lib/lib-dynload/$_.cpython*.so" } qw(_zoneinfo _json _csv _queue);
my %copy = map { ($_ => "$server->{dir}/apps/$_.so") } qw(object stuck);
for (sort keys %copy) {
    next if !$object;
    my ($name) = $object =~ m{([^/.]+)[^/]*$};
    write_text($copy{$_}, read_text($object));
    $server->app("$_.py", "import importlib.machinery as m, importlib.util as u\n"
        . "at = '$copy{$_}'\nloader = m.ExtensionFileLoader('$name', at)\n"
        . "u.module_from_spec(u.spec_from_file_location('$name', at, loader=loader))\n$app");
}

sub replace_object {
    my ($copy) = @_;
    unlink $copy;
    write_text($copy, read_text($object));
    return;
}
announce(qr/PW0023/); # the limits of this test
announce(qr/PW0021/) if !$own_gil;
announce(qr/PW0022/) if !$own_gil;
ok($server->start, 'started');

sub token {
    my ($path) = @_;
    my $a = $server->get($path);
    is($a->{status}, 200, $path) if $a->{status} != 200;
    return $a->{body} =~ /^(\w+)/ ? $1 : '';
}

# A request under way: its connection.
sub ask {
    my ($path) = @_;
    my $conn = $server->connect;
    $conn->send(PWTest::HTTP::head(path => $path));
    return $conn;
}

sub calls {
    my ($name) = @_;
    my $text = eval { read_text("$server->{dir}/var/calls") } // '';
    return scalar grep { $_ eq $name } split /\n/, $text;
}

sub status_of {
    my ($name) = @_;
    my $all = $server->get_json('/status?format=json')->{interpreters};
    return (grep { $_->{name} eq $name } @$all)[0];
}

sub release {
    my ($name) = @_;
    write_text("$server->{dir}/var/$name", 'go');
    return;
}

subtest 'two instances' => sub {
    # Where there is one place too few, the other instance is still loading.
    my %seen;
    wait_for { $server->lines(qr/PW0200 two .*loaded/) == 2 };
    my $held = ask('/two/hold?two');
    wait_for { calls('two') };
    $seen{ token('/two') }++ for 1 .. 20;
    is(keys %seen, 1, 'the idle one answers while the other is busy');
    release('two');
    my $body = $held->response->{body};
    ok(!$seen{ $body =~ /^(\w+)/ }, 'and that is another interpreter');
    like($body, qr/True$/, 'wsgi.multiprocess is true');
};

subtest 'a full queue' => sub {
    my $held = ask('/narrow/hold?narrow');
    wait_for { calls('narrow') };
    my @waiting = map { ask("/narrow?waits$_") } 1 .. 2;
    ok(wait_for { status_of('narrow')->{queued} == 2 }, 'two wait');
    for my $time (1 .. 5) {
        my $refused = $server->get('/narrow?refused');
        is($refused->{status}, 503, "refused $time");
        like($refused->{h}{'retry-after'}, qr/^[1-9]\d*$/, 'with Retry-After');
    }
    is(status_of('narrow')->{refused}{queue_full}, 5, 'and counted');
    is(calls('refused'), 0, 'the application sees none');
    announce(qr/PW0120/);
    my ($record) = $server->lines(qr/PW0120 narrow/);
    like($record, qr/503 for 1 request in \d+ s: 1 of 1 slots busy, queue 2 of 2; /, 'a record');
    like($record, qr/oldest call \d+ s: GET \/narrow\/hold$/m, 'with the oldest call, no query');
    $waiting[0]->close;
    release('narrow');
    is($_->response->{status}, 200, 'who waited is served') for $held, $waiting[1];
    ok(wait_for { $server->lines(qr/PW0311 narrow/) }, 'a client that has gone is dropped');
    is(calls('waits1'), 0, 'and not seen by the application');
    is(calls('waits2'), 1, 'the one behind it is');
    my @records = $server->lines(qr/PW0120 narrow/);
    is(@records, 1, 'one record, however many requests');
};

subtest 'no queue' => sub {
    my @held = map { ask("/wide/hold?wide$_") } 1, 2;
    ok(wait_for { calls('wide1') && calls('wide2') }, 'two at once');
    is($server->get('/wide?third')->{status}, 503, 'no third one');
    my ($record) = $server->lines(qr/PW0120 wide/);
    like($record, qr/503 for 1 request in \d+ s: all 2 slots busy, queue 0 of 0; /, 'a record');
    release("wide$_") for 1, 2;
    is($_->response->{status}, 200, 'they are served') for @held;
};

subtest 'a request body is read ahead' => sub {
    my $conn = $server->connect;
    $conn->send(PWTest::HTTP::head(method => 'POST', path => '/narrow?slow',
        headers => [ 'Content-Length' => 10 ]) . 'half ');
    is($server->get('/narrow?meanwhile')->{status}, 200, 'who sends slowly holds no place');
    is(calls('slow'), 0, 'and the application is not called yet');
    $conn->send('whole');
    is($conn->response->{status}, 200, 'when the body is there, it is');
    is(calls('slow'), 1, 'once');
    $conn->close;

    # httpd reads such a body itself when the request has ended, if nobody has.
    $conn = $server->connect;
    $conn->send(PWTest::HTTP::head(path => '/narrow?slowget',
        headers => [ 'Content-Length' => 10 ]) . 'half ');
    is($server->get('/narrow?meanwhile')->{status}, 200, 'nor does a GET with a body');
    is(calls('slowget'), 0, 'which is not called yet either');
    $conn->send('whole');
    is($conn->response->{status}, 200, 'when the body is there, it is');
    $conn->close;

    $conn = $server->connect;
    $conn->send(PWTest::HTTP::head(method => 'POST', path => '/narrow/read?expects',
        headers => [ 'Content-Length' => 5, Expect => '100-continue' ]));
    ok(wait_for { calls('expects') }, 'with Expect: 100-continue the application comes first');
    $conn->send('12345');
    my $answer = $conn->response;
    is_deeply($answer->{interim}, [100], 'and asks for the body by reading it');
    is($answer->{body}, 'read 5', 'which it gets');
    $conn->close;

    for my $size (0, 1, 65535, 65536, 65537, 200000) {
        for my $chunked (0, 1) {
            my $c = $server->connect;
            my $body = 'b' x $size;
            $c->send(PWTest::HTTP::head(method => 'POST', path => '/narrow/read?size',
                headers => $chunked ? [ 'Transfer-Encoding' => 'chunked' ]
                : [ 'Content-Length' => $size ])
                . ($chunked ? ($size ? sprintf("%x\r\n%s\r\n", $size, $body) : '') . "0\r\n\r\n"
                    : $body));
            is($c->response->{body}, "read $size", "$size bytes arrive, chunked: $chunked");
            $c->close;
        }
    }

    for my $case ([ 65536, 0 ], [ 65537, 1 ]) {
        my ($size, $called) = @$case;
        my $c = $server->connect;
        $c->send(PWTest::HTTP::head(method => 'POST', path => "/narrow/read?limit$size",
            headers => [ 'Content-Length' => $size ]) . 'b' x ($size - 1));
        if ($called) {
            ok(wait_for { calls("limit$size") }, "with $size bytes it is called before the end");
        }
        else {
            is($server->get('/narrow?meanwhile')->{status}, 200, "$size bytes hold no place");
            is(calls("limit$size"), 0, 'before the last has come');
        }
        $c->send('b');
        is($c->response->{body}, "read $size", 'and it reads all');
        $c->close;
    }

    my @bad = (['400', "zz\r\n"], ['400', "5\r\nabcdefgh\r\n"]);
    for my $case (@bad) {
        my $c = $server->connect;
        $c->send(PWTest::HTTP::head(method => 'POST', path => '/narrow?bad',
            headers => [ 'Transfer-Encoding' => 'chunked' ]) . $case->[1]);
        is($c->response->{status}, $case->[0], 'a bad chunk is answered');
        $c->close;
    }
    is(calls('bad'), 0, 'by httpd, without the application');
    announce(qr/AH0\d{4}/);
};

subtest 'a slow reader' => sub {
    my $conn = ask('/narrow/large?reads');
    wait_for { calls('reads') };
    is($server->get('/narrow?beside')->{status}, 200, 'holds no place while it reads');
    my $body = $conn->response->{body};
    is(length $body, 30020000, 'and reads all of it');
    like($body, qr/^x+y+$/, 'as it was sent');
    $conn = ask('/narrow/large?leaves');
    wait_for { calls('leaves') };
    $conn->close;
    is($server->get('/narrow?after')->{status}, 200, 'nor one that leaves');
};

subtest 'the time in the queue' => sub {
    my $held = ask('/hasty/hold?hasty');
    wait_for { calls('hasty') };
    my $refused = $server->get('/hasty?late');
    is($refused->{status}, 503, 'late');
    like($refused->{h}{'retry-after'}, qr/^[1-9]\d*$/, 'with Retry-After');
    ok($server->lines(qr/PW0309 hasty/), 'waited in vain');
    $refused = $server->get('/hasty?stuck');
    is($refused->{status}, 503, 'stuck');
    like($refused->{h}{'retry-after'}, qr/^[1-9]\d*$/, 'with Retry-After');
    ok($server->lines(qr/PW0308 hasty/), 'and then nobody waits');
    release('hasty');
    is($held->response->{status}, 200, 'the one that held it up is served');
    is($server->get('/hasty')->{status}, 200, 'and then the next');
};

subtest 'WSGIMaxRequests' => sub {
    my (%seen, $bad);
    for (1 .. 120) {
        my $a = $server->get('/renewed');
        $bad++ if $a->{status} != 200;
        $seen{ $a->{body} }++;
    }
    ok(!$bad, 'no request failed');
    if (!$own_gil) {
        cmp_ok(keys %seen, '<=', 2, 'no effect on this Python');
        return;
    }
    ok(wait_for {
        $seen{ token('/renewed') }++;
        keys %seen > 3;
    }, 'instances came and went: ' . keys %seen);
};

# Of the old one's objects, which a slow reader still has.
subtest 'an instance that ends while it is read from' => sub {
    plan skip_all => 'nothing is replaced' if !python_at_least(14);
    my $old  = token('/leaving');
    my $conn = ask('/leaving/large?leaving');
    wait_for { calls('leaving') };
    ok(wait_for { token('/leaving') ne $old }, 'a fresh one has taken over');
    ok(wait_for { grep { $_->{state} eq 'DRAINING' } @{ status_of('leaving')->{instances} } },
        'the old one waits');
    ok(!$server->lines(qr/ leaving: instance 1 has ended/), 'and has not ended');
    my $body = $conn->response->{body};
    is(length $body, 30020000, 'all of the response comes');
    like($body, qr/^x+y+$/, 'as it was sent');
    ok(wait_for { $server->lines(qr/ leaving: instance 1 has ended/) }, 'then it ends');
};

subtest 'a successor that does not load' => sub {
    plan skip_all => 'nothing is replaced' if !$own_gil;
    my $token = token('/broken');
    write_text("$server->{dir}/apps/broken.py", "1 / 0\n");
    announce(qr/PW0201 broken.*the other instances serve on/,
        qr/PW0107 broken/, qr/PW0201 broken.* \| /);
    my %seen;
    ok(wait_for {
        $seen{ token('/broken') }++;
        $server->lines(qr/PW0107 broken/);
    }, 'it is tried, and said');
    $seen{ token('/broken') }++ for 1 .. 20;
    is_deeply([ keys %seen ], [$token], 'the old one serves on');
    ok(!$server->lines(qr/PW0122 broken/), 'and there are no two versions');
};

sub edit_script {
    my $new = $app =~ s/body = "%s %s"/body = "new %s %s"/r;
    return $server->app('edited.py', $new);
}

# The file of another module: its new text has another length, for Python's cache.
sub edit_module { return $server->app('part.py', "WORD = 'new' # now\n") }

cases(sub {
    my ($case) = @_;
    plan skip_all => 'nothing is replaced' if !$own_gil;
    my $name = $case->{mount};
    unlike($server->get("/$name")->{body}, qr/^new/, 'the old one');
    $case->{edit}->();
    announce(qr/PW0122 $name/);
    my ($bad, %seen) = (0);
    ok(wait_for {
        my $a = $server->get("/$name");
        $bad++ if $a->{status} != 200;
        $seen{ $a->{body} =~ /^new/ ? 'new' : 'old' }++;
        ($seen{new} // 0) > 60;
    }, 'what is on disk is loaded');
    is($bad, 0, 'no request failed');
    my @said = $server->lines(qr/PW0122 $name/);
    my $says = 'has changed since the other instances loaded it: the pool runs two versions';
    like($said[0], qr/PW0122 $name: .*$case->{file} $says/, 'and said that there are two');
    is(scalar @said, 1, 'once');
}, { name => 'a successor with another script', mount => 'edited', file => 'edited.py',
     edit => \&edit_script },
   { name => 'a successor with another module', mount => 'parted', file => 'part.py',
     edit => \&edit_module });

subtest 'a shared object that was replaced' => sub {
    plan skip_all => 'nothing is replaced' if !$own_gil;
    plan skip_all => 'Python has no extension in a file' if !$object;
    is($server->get('/object')->{status}, 200, 'an application with a shared object');
    replace_object($copy{object});
    my %seen;
    announce(qr/PW0109 object/);
    ok(wait_for {
        $seen{ token('/object') }++;
        $server->lines(qr/PW0109 object: .*\Q$copy{object}\E has changed/);
    }, 'is not replaced, and that is said');
    is(keys %seen, 1, 'it serves on');
};

subtest 'WSGIIdleTimeout' => sub {
    my $before = $server->lines(qr/PW0121 idle/);
    my $token = token('/idle');
    if (!$own_gil) {
        ok(!$server->lines(qr/PW0121/), 'no effect on this Python');
        return;
    }
    ok(wait_for { $server->lines(qr/PW0121 idle/) > $before }, 'unloaded');
    my $again = token('/idle');
    isnt($again, '', 'the next request is served');
    isnt($again, $token, 'by a fresh instance');
};

subtest 'WSGIParkLimit' => sub {
    plan skip_all => 'nothing is replaced' if !$own_gil;
    announce(qr/PW0105 parking: .*1 of its threads do not stop/);
    my %seen;
    my $parked = wait_for {
        $seen{ token('/parking') }++;
        $server->lines(qr/PW0105 parking/);
    } 60;
    ok($parked, 'an instance with a thread that does not stop is parked');
    ok(wait_for {
        status_of('parking')->{replacement_due};
    }, 'the status says that the child is due');
    my @states = map { $_->{state} } @{ status_of('parking')->{instances} };
    is(scalar(grep { $_ eq 'PARKED' } @states), 1, "it shows the parked one: @states");
    my $before = keys %seen;
    $seen{ token('/parking') }++ for 1 .. 20;
    cmp_ok(keys %seen, '<=', $before + 1, 'and no other is replaced');
};

subtest 'growth' => sub {
    plan skip_all => 'instances share one GIL' if !$own_gil;
    my $token = token('/growing');
    my $grown = wait_for {
        my @busy = map { ask('/growing/compute?x') } 1 .. 6;
        $_->response for @busy;
        $server->lines(qr/PW0123 growing/);
    };
    ok($grown, 'requests that wait for the GIL make the pool grow');
    my %seen;
    ok(wait_for {
        my @busy = map { ask('/growing/compute?x') } 1 .. 6;
        $seen{ $_->response->{body} }++ for @busy;
        keys %seen == 2;
    }, 'and both instances serve');
};

subtest 'no growth beside a shared object that was replaced' => sub {
    plan skip_all => 'instances share one GIL' if !$own_gil;
    plan skip_all => 'Python has no extension in a file' if !$object;
    is($server->get('/stuck')->{status}, 200, 'an application with a shared object');
    replace_object($copy{stuck});
    announce(qr/PW0109 stuck/);
    my %seen;
    ok(wait_for {
        my @busy = map { ask('/stuck/compute?x') } 1 .. 6;
        $seen{ $_->response->{body} }++ for @busy;
        $server->lines(qr/PW0109 stuck: gets no further instance: \Q$copy{stuck}\E has changed/);
    }, 'that is said');
    is(keys %seen, 1, 'and the one serves on');
};

$server->stop;
my ($counters) = $server->lines(qr/PW0190/);
my %count = map { /(\w+)=(\d+)/ ? ($1 => $2) : () } split ' ', $counters;
is($count{returned}, $count{requests}, 'every lease was given back');
is($count{dropped}, 1, 'one was dropped');
is($count{instances_parked}, $own_gil ? 1 : 0, 'one was parked');
cmp_ok($count{instances_ended}, '>=', 6, 'instances have ended') if $ends;

finish();

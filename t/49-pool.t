# SPDX-License-Identifier: Apache-2.0
# The pool of an interpreter: its instances, its limits, its queue, and the end
# of instances in a child that lives on.
use PWTest;
use PWTest::Server;
use JSON::PP qw(decode_json);

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
    object  => ['WSGIMaxRequests 5'],
    idle    => ['WSGIIdleTimeout 1'],
    parking => ['WSGIMaxRequests 3', 'WSGIParkLimit 1'],
    growing => ['WSGIInstances 1-2', 'WSGIConcurrency 6'],
);
my $server = PWTest::Server->new(name => 'pool', conf => join '',
    "<Location /status>\nSetHandler wsgi-status\n</Location>\n",
    (map { block($_, @{ $pool{$_} }) . mount($_) } sort keys %pool));
$server->app("$_.py", $app) for keys %pool;
$server->app('parking.py', "import threading\nlock = threading.Lock()\nlock.acquire()\n"
    . "threading.Thread(target=lock.acquire, daemon=True).start()\n$app");

# One that loads a shared object, a copy of one of Python's own.
chomp(my $lib = qx($ENV{PW_T_PYTHON} -c 'import sysconfig as s; print(s.get_path("platstdlib"))'));
my ($object) = map { glob "$lib/lib-dynload/$_.cpython*.so" } qw(_zoneinfo _json _csv _queue);
my $copy = "$server->{dir}/apps/copy.so";
if ($object) {
    my ($name) = $object =~ m{([^/.]+)[^/]*$};
    write_text($copy, read_text($object));
    $server->app('object.py', "import importlib.machinery as m, importlib.util as u\n"
        . "loader = m.ExtensionFileLoader('$name', '$copy')\n"
        . "u.module_from_spec(u.spec_from_file_location('$name', '$copy', loader=loader))\n$app");
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
    my $refused = $server->get('/narrow?refused');
    is($refused->{status}, 503, 'refused');
    ok($refused->{h}{'retry-after'}, 'with Retry-After');
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
    is($server->get('/hasty?late')->{status}, 503, 'late');
    ok($server->lines(qr/PW0309 hasty/), 'waited in vain');
    is($server->get('/hasty?stuck')->{status}, 503, 'stuck');
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

subtest 'a successor that does not load' => sub {
    plan skip_all => 'nothing is replaced' if !$own_gil;
    my $token = token('/broken');
    write_text("$server->{dir}/apps/broken.py", "1 / 0\n");
    announce(qr/PW0122 broken/, qr/PW0201 broken.*the other instances serve on/,
        qr/PW0107 broken/, qr/PW0201 broken.* \| /);
    my %seen;
    ok(wait_for {
        $seen{ token('/broken') }++;
        $server->lines(qr/PW0107 broken/);
    }, 'it is tried, and said');
    $seen{ token('/broken') }++ for 1 .. 20;
    is_deeply([ keys %seen ], [$token], 'the old one serves on');
    ok($server->lines(qr/PW0122 broken/), 'the change was said');
};

subtest 'a shared object that was replaced' => sub {
    plan skip_all => 'nothing is replaced' if !$own_gil;
    plan skip_all => 'Python has no extension in a file' if !$object;
    is($server->get('/object')->{status}, 200, 'an application with a shared object');
    unlink $copy;
    write_text($copy, read_text($object));
    my %seen;
    announce(qr/PW0109 object/);
    ok(wait_for {
        $seen{ token('/object') }++;
        $server->lines(qr/PW0109 object: .*\Q$copy\E has changed/);
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

$server->stop;
my ($counters) = $server->lines(qr/PW0190/);
my %count = map { /(\w+)=(\d+)/ ? ($1 => $2) : () } split ' ', $counters;
is($count{returned}, $count{requests}, 'every lease was given back');
is($count{dropped}, 1, 'one was dropped');
is($count{instances_parked}, $own_gil ? 1 : 0, 'one was parked');
cmp_ok($count{instances_ended}, '>=', 6, 'instances have ended') if $ends;

# ---- configuration ------------------------------------------------------

my @lines = (
    { name => 'no number', conf => 'WSGIInstances many' },
    { name => 'no instance', conf => 'WSGIInstances 0' },
    { name => 'a range that falls', conf => 'WSGIInstances 4-2' },
    { name => 'no range', conf => 'WSGIInstances 1-' },
    { name => 'automatic from the start', conf => 'WSGIInstances auto' },
    { name => 'no place', conf => 'WSGIConcurrency 0' },
    { name => 'less than none', conf => 'WSGIQueueLimit -1' },
    { name => 'no time', conf => 'WSGIQueueTimeout soon' },
    { name => 'no number of requests', conf => 'WSGIMaxRequests 1k' },
    { name => 'no idle time', conf => 'WSGIIdleTimeout -3' },
    { name => 'no thread state', conf => 'WSGIThreadStates 0' },
    { name => 'no park', conf => 'WSGIParkLimit x' },
    { name => 'no buffer', conf => 'WSGIRequestBuffer 64K' },
);
my $check = PWTest::Server->new(name => 'pool-conf', conf => '');
my $info  = '@APPS@/info.py';
cases(sub {
    my ($case) = @_;
    my ($directive) = split ' ', $case->{conf};
    $check->{conf} = $case->{conf};
    my ($status, $said) = $check->run('-t');
    isnt($status, 0, 'refused');
    like($said, qr/$directive:? .*Mend/s, 'by name, with the mend');
    $check->{conf} = "<VirtualHost *:80>\n$directive 1\n</VirtualHost>";
    ($status, $said) = $check->run('-t');
    like($said, qr/$directive .*main server/, 'not in a virtual host');
}, @lines);

sub dump_of {
    my ($conf) = @_;
    $check->{conf} = $conf;
    my ($status, $said) = $check->run('-t', '-D', 'DUMP_POLYWSGI');
    my ($json) = $said =~ /^(\{.*\})/ms;
    my %interp = map { $_->{name} => $_ } @{ decode_json($json)->{interpreters} };
    return \%interp;
}

subtest 'derived limits' => sub {
    plan skip_all => 'needs threads' if !threaded();
    my $a = "WSGIScriptAlias /a $info application-group=a\n";
    my $b = "WSGIScriptAlias /b $info application-group=b\n";
    my $alone = dump_of($a);
    is($alone->{a}{concurrency}, undef, 'one interpreter: no bound');
    my $both = dump_of($a . $b);
    is($both->{a}{concurrency}, 6, 'two, 16 threads: 6 places');
    is($both->{a}{queue_limit}, 2, 'and 2 wait');
    if (PWTest::Server::has('http2')) {
        my $h2 = dump_of("<IfModule http2_module>\nH2MaxWorkers 12\n</IfModule>\n$a$b");
        is($h2->{a}{concurrency}, 5, 'HTTP/2 with 12 threads: 5 places');
    }
    my $more = dump_of("WSGIInstances 1-3\n$a$b");
    is($more->{b}{concurrency}, 2, 'divided by the most instances');
    is_deeply($more->{b}{instances}, [ 1, 3 ], 'a range');
    my $said = dump_of("WSGIConcurrency 3\nWSGIQueueLimit 9\n$a$b");
    is($said->{a}{concurrency}, 3, 'what is said');
    is($said->{a}{queue_limit}, 9, 'holds');
    my $main = dump_of("WSGIInstances 3\nWSGIScriptAlias / $info application-group=%{GLOBAL}");
    is_deeply($main->{'%{GLOBAL}'}{instances}, [ 1, 1 ], 'the main interpreter is one');
};

finish();

# SPDX-License-Identifier: Apache-2.0
# Many clients over four applications of two instances each, while each instance is
# replaced after so many requests: no request is lost, and the counters add up. Its
# use is under a sanitizer and a debug build of CPython.
use PWTest;
use PWTest::Server;
use JSON::PP qw(decode_json);
use POSIX ();

plan skip_all => 'needs threads' if !threaded();
my $clients = $ENV{PW_RECYCLE_CLIENTS} || 64;
my $rounds  = $ENV{PW_RECYCLE_ROUNDS}  || 100;
my $every   = $ENV{PW_RECYCLE_EVERY}   // 50;
# So many are replaced, however many requests that takes.
my $replaced = $every && python_at_least(13) ? $ENV{PW_RECYCLE_REPLACED} // 60 : 0;
alarm 900;

my @names = qw(one two three four);
my $conf = "WSGIQueueTimeout 300\nWSGIRequestBuffer 4096\n"
    . "<Location /wsgi-status>\n  SetHandler wsgi-status\n</Location>\n";
for my $name (@names) {
    $conf .= "<WSGIInterpreter $name>\nWSGIInstances 2\nWSGIConcurrency 8\n"
        . "WSGIQueueLimit 100\nWSGIMaxRequests $every\n</WSGIInterpreter>\n"
        . "WSGIScriptAlias /$name \@DIR\@/apps/mixed.py interpreter=$name\n";
}
my $server = PWTest::Server->new(name => 'recycle', conf => $conf, sizing => <<'END_SIZING');
StartServers 1
ServerLimit 3
ThreadLimit 80
ThreadsPerChild 80
MinSpareThreads 1
MaxSpareThreads 80
MaxRequestWorkers 80
END_SIZING
# A thread that SystemExit meets inside of threading ends by RuntimeError.
announce(qr/PW0501/, qr/AH00484/, qr/PW0023/, qr/PW040[12]/, qr/PW0021/, qr/PW0022/);

# A thread that lives with its interpreter, and what a request may do.
$server->app('mixed.py', <<'END_APP');
import json, logging, threading, time, datetime, decimal
BORN = time.monotonic()
LOCAL = threading.local()
stop = threading.Event()
def tick():
    while not stop.wait(0.02):
        pass
threading.Thread(target=tick, daemon=True).start()

def application(environ, start_response):
    LOCAL.count = getattr(LOCAL, "count", 0) + 1
    way = environ["PATH_INFO"][1:]
    if way == "fail":
        raise KeyError("fail")
    if way == "slow":
        time.sleep(0.02)
    if way == "upload":
        size = len(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(size).encode()]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if way == "stream":
        return (b"%d\n" % n for n in range(20))
    if way == "late":
        return late()
    return [b"x" * (200000 if way == "large" else 10)]

def late():
    yield b"some"
    raise ValueError("late")
END_APP
ok($server->start, 'started');
is($server->get("/$_/fast")->{status}, 200, "/$_ answers") for @names;

my %want = (
    fast   => [200, 10], slow => [200, 10], fail => [500], stream => [200, 50],
    late   => [200], large => [200, 200000], upload => [200, 5], abort => [],
);
my @ways = sort keys %want;

# "": as it should be.
sub once {
    my ($number, $round) = @_;
    my $way  = $ways[ ($number + $round) % @ways ];
    my $path = "/$names[ ($number * 7 + $round) % @names ]/$way";
    my @body = $way eq 'upload' ? (method => 'PUT', body => 'u' x 30000) : ();
    if ($way eq 'abort') {
        my $conn = $server->connect or return 'no connection';
        $conn->send(PWTest::HTTP::head(path => $path =~ s/abort/large/r));
        $conn->close;
        return '';
    }
    my $a = $server->get($path, @body);
    my ($status, $size) = @{ $want{$way} };
    return "$path: $a->{status} ($a->{reason})" if $a->{status} != $status;
    return $way eq 'late' ? ($a->{complete} ? "$path: complete" : '')
        : $size && length $a->{body} != $size ? "$path: " . length $a->{body} : '';
}

my $stop = "$server->{dir}/var/stop";
my @running;
for my $n (1 .. $clients) {
    pipe my $from, my $to or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        alarm 880;
        my ($bad, $done, $first) = (0, 0, '');
        until ($done >= $rounds && -e $stop) {
            my $said = eval { once($n, ++$done) } // "died: $@";
            $first ||= $said;
            $bad++ if $said;
            # Enough asked: from here on the replacements have the processor.
            wait_for { -e $stop } 0.2 if $done >= $rounds;
        }
        syswrite $to, "$bad $done $first";
        POSIX::_exit(0);
    }
    close $to;
    push @running, { pid => $pid, from => $from };
}
ok((wait_for { $server->lines(qr/instance \d+ has ended/) >= $replaced } 600),
    "$replaced instances have been replaced");
write_text($stop, '');
my ($failed, $asked, @first) = (0, 0);
for my $one (@running) {
    my $said = readline $one->{from};
    waitpid $one->{pid}, 0;
    my ($bad, $done, $first) = split ' ', $said // '1 0 nothing reported', 3;
    $failed += $bad;
    $asked  += $done;
    push @first, $first if $bad;
}
is($failed, 0, "$clients clients, $asked requests") or diag(join "\n", @first[0 .. 3]);

subtest 'the counters' => sub {
    my $all;
    # A request is counted when its last byte is sent, and by then its client
    # may be here.
    ok(wait_for {
        $all = decode_json($server->get('/wsgi-status?format=json')->{body});
        !grep { $_->{queued} || $_->{running} } @{ $all->{interpreters} };
    }, 'nothing is in flight');
    for my $i (@{ $all->{interpreters} }) {
        my $sum = 0;
        $sum += $_ for values %{ $i->{served} }, values %{ $i->{refused} };
        is($i->{accepted}, $sum + $i->{dropped}, "$i->{name}: accepted = served + refused + dropped");
        is($i->{lost}, 0, 'none is lost');
        my @leased = grep { $_->{in_flight} } @{ $i->{instances} };
        is(scalar @leased, 0, "$i->{name}: no instance has a lease");
        my @over = grep { $_->{thread_states} > 80 } @{ $i->{instances} };
        is(scalar @over, 0, "$i->{name}: thread states at most as many as threads");
    }
};
$server->stop;
my ($counters) = $server->lines(qr/PW0190/);
my %count = map { /(\w+)=(\d+)/ ? ($1 => $2) : () } split ' ', $counters;
is($count{returned}, $count{requests}, 'every lease was given back');
is($count{refused}, 0, 'no request was refused');
is($count{instances_parked}, 0, 'nothing was parked');
is($count{tstates_freed}, $count{tstates_created}, 'every thread state is gone')
    if python_at_least(13);
unlike(join('', $server->lines(qr/PW0201|PW010[127]/)), qr/PW/, 'each that was made has loaded');
cmp_ok($count{instances_ended}, '>=', $replaced, "$count{instances_ended} instances were replaced");

finish();

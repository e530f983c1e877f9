# SPDX-License-Identifier: Apache-2.0
# The counters add up, exactly, after failing and aborting clients, over several
# children and graceful restarts; and none ever goes back.
use PWTest;
use PWTest::Server;
use PWTest::Prometheus;
use POSIX ();
use Time::HiRes qw(time);

my $sizing = threaded() ? <<'THREADED' : <<'PREFORK';
StartServers 2
ServerLimit 8
ThreadLimit 8
ThreadsPerChild 8
MinSpareThreads 1
MaxSpareThreads 16
MaxRequestWorkers 16
THREADED
StartServers 4
MinSpareServers 1
MaxSpareServers 8
ServerLimit 16
MaxRequestWorkers 8
PREFORK
my $server = PWTest::Server->new(name => 'counts', sizing => $sizing, conf => <<'END_CONF');
MaxConnectionsPerChild 0
WSGIScriptAlias /a @DIR@/apps/mixed.py application-group=a
WSGIScriptAlias /b @DIR@/apps/mixed.py application-group=b
WSGIScriptAlias /broken @DIR@/apps/broken.py application-group=broken
<Location /wsgi-status>
    SetHandler wsgi-status
</Location>
END_CONF
$server->app('broken.py', "raise LookupError('never')\n");
$server->app('mixed.py', <<'END_APP');
import time

def application(environ, start_response):
    way = environ["PATH_INFO"][1:]
    if way == "fail":
        raise KeyError("fail")
    if way == "slow":
        time.sleep(0.02)
    start_response("404 No" if way == "none" else "200 OK", [("Content-Type", "text/plain")])
    if way == "late":
        return late()
    if not way:
        return [str(environ["wsgi.multiprocess"]).encode()]
    return [b"x" * (300000 if way == "large" else 10)]

def late():
    yield b"some"
    raise ValueError("late")
END_APP
# The places of an interpreter are few here.
announce(qr/PW0120/, qr/PW0201|PW020[56]|PW040[12]/, qr/PW00\d\d.*MaxSpare/,
    qr/AH00484|AH00286|AH00161|AH03490|AH10159/);
ok($server->start, 'started');
is($server->get("/$_/")->{body}, 'True', "/$_ answers: it is wsgi.multiprocess") for qw(a b);

my $stop = "$server->{dir}/var/stop";

# A process that asks, in ways that depend on its number, until it is told to
# end; then it says how many whole answers it has read, by class of status.
sub client {
    my ($number) = @_;
    pipe my $from, my $to or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid) {
        close $to;
        return { pid => $pid, from => $from };
    }
    close $from;
    alarm 0;
    srand $number;
    my (%read, @slowest);
    until (-e $stop) {
        my $from = time;
        my $way = (qw(fast slow fail none large late abort halt))[ rand 8 ];
        my $path = rand(10) < 1 ? '/broken/x' : (rand(2) < 1 ? '/a/' : '/b/') . $way;
        my $conn = $server->connect or next;
        $conn->send(PWTest::HTTP::head(path => $path, headers => [ Connection => 'close' ]));
        if ($way ne 'abort') {
            # halt: goes away in the middle of a large answer.
            my $a = eval { $way eq 'halt' ? $conn->read_head : $conn->response } || {};
            $read{ int $a->{status} / 100 }++ if $way ne 'halt' && $a->{status};
        }
        $conn->close;
        @slowest = (time - $from, $path) if time - $from > ($slowest[0] // 0);
    }
    diag(sprintf 'client %d: the slowest took %.1f s: %s', $number, @slowest)
        if @slowest && $slowest[0] > 2;
    syswrite $to, join(' ', map { $read{$_} // 0 } 1 .. 5) . "\n";
    POSIX::_exit(0);
}

# All counters of one scrape; nothing where no child answered in this moment.
sub scrape {
    my $text = $server->get('/wsgi-status?format=prometheus');
    return if $text->{status} != 200 || !$text->{complete};
    my $samples = PWTest::Prometheus::parse($text->{body})->{samples};
    return { map { ($_ => $samples->{$_}) }
            grep { /_total\{|_count\{|_bucket\{/ } keys %$samples };
}

sub accepted {
    my ($seen) = @_;
    return sum(map { $seen->{$_} } grep { /requests_accepted_total/ } keys %$seen);
}

my @clients = map { client($_) } 1 .. 4;
my ($scrapes, @back) = (0);
my $seen = scrape() || {};
my $restarts = 2;
for my $round (0 .. $restarts) {
    if ($round) {
        my @old = $server->children;
        $server->signal('USR1');
        ok(wait_for { grep { my $p = $_; !grep { $_ == $p } @old } $server->children },
            "restart $round: there are new children");
    }
    # A busy machine may need longer for as many.
    my $end = time + 2;
    while (time < $end || accepted($seen) < 50 * ($round + 1) && time < $end + 60) {
        my $now = scrape() or next;
        push @back, grep { ($now->{$_} // -1) < $seen->{$_} } keys %$seen;
        $seen = $now;
        $scrapes++;
    }
}
write_text($stop, '');
my @read;
for my $client (@clients) {
    my @n = split ' ', readline($client->{from}) // '';
    waitpid $client->{pid}, 0;
    $read[$_] += $n[$_] // 0 for 0 .. 4;
}
cmp_ok($scrapes, '>', 10, "$scrapes scrapes");
is("@back[0 .. ($#back > 4 ? 4 : $#back)]", '', 'no counter has ever gone back');

sub interpreters { return $server->get_json('/wsgi-status?format=json')->{interpreters} }

sub sum { my $s = 0; $s += $_ for @_; return $s }

ok(wait_for { !sum(map { $_->{in_flight} } @{ interpreters() }) }, 'then nothing is in flight');
my (%served, $all);
for my $i (@{ interpreters() }) {
    my ($served, $refused) = (sum(values %{ $i->{served} }), sum(values %{ $i->{refused} }));
    is($i->{accepted}, $served + $refused + $i->{dropped},
        "$i->{name}: $i->{accepted} accepted = $served served + $refused refused"
        . " + $i->{dropped} dropped");
    is($i->{lost}, 0, 'none is lost');
    is("$i->{queued} $i->{running}", '0 0', 'nothing waits or runs');
    is(sum(map { $_->{in_flight} } @{ $i->{instances} }), 0, 'in any instance');
    is($i->{seconds}{$_}{count}, $served, "as many times of $_") for qw(attach application);
    is($i->{seconds}{queue}{count}, $served + $i->{dropped},
        'and of the queue: a client that had gone was seen at its end');
    $served{$_} += $i->{served}{$_} for keys %{ $i->{served} };
    $all += $i->{accepted};
    cmp_ok($i->{refused}{load_failed}, '>', 0, 'failed loads are refused') if $i->{name} eq 'broken';
    cmp_ok($i->{cpu_seconds}, '>', 0, 'CPU time was seen') if $i->{accepted} > 1000 && $served;
    cmp_ok($i->{exceptions}, '<=', $i->{served}{'5xx'} + $i->{served}{'2xx'}, 'exceptions')
        if $served;
}
cmp_ok($served{'2xx'}, '>=', $read[1], "2xx: $served{'2xx'} served, $read[1] read");
is($served{'4xx'}, $read[3], "4xx: each that was served was read");
cmp_ok($all, '>', 100, "$all requests in all");

ok(wait_for {
    my $list = $server->get_json('/wsgi-status?format=json')->{children};
    my %pid = map { ($_->{pid} => 1) } @$list;
    @$list == keys %pid && @$list == $server->children;
}, 'the children shown are those that there are');
$server->stop;
is(scalar $server->lines(qr/PW013\d/), 0, 'no child has died');
finish();

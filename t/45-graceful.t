# SPDX-License-Identifier: Apache-2.0
# Graceful restarts in a row: no connection refused, no request lost after its
# first byte was read, no growth of httpd's parent.
#
# httpd closes idle keep-alive connections at a graceful restart. A client may
# send such a request once more (RFC 9112 section 9.3.1): these are counted
# apart.
use PWTest;
use PWTest::Server;
use Time::HiRes qw(time);
use POSIX ();

my $rounds = $ENV{PW_GRACEFUL} || ($ENV{PW_T_SANITIZER} ? 6 : 12);
alarm 240 + $rounds * 10;
my $sizing = threaded() ? <<'THREADED' : <<'PREFORK';
StartServers 1
ServerLimit 16
ThreadLimit 8
ThreadsPerChild 8
MinSpareThreads 1
MaxSpareThreads 8
MaxRequestWorkers 8
THREADED
StartServers 2
MinSpareServers 1
MaxSpareServers 4
ServerLimit 32
MaxRequestWorkers 8
PREFORK
# Old children, still ending, count against MaxRequestWorkers.
# The MPMs say it in words of their own: the old children hold all slots for a while.
announce(qr/PW00\d\d.*MaxSpare/, qr/AH00484|AH00286|AH00161|AH03490|AH10159/);
my $s = PWTest::Server->new(name => 'graceful', sizing => $sizing,
    conf => <<'END');
KeepAliveTimeout 60
MaxKeepAliveRequests 0
WSGIScriptAlias /a @APPS@/info.py application-group=a
WSGIScriptAlias /b @APPS@/share_a.py application-group=b
WSGIScriptAlias /g @APPS@/info.py application-group=%{GLOBAL}
END
ok($s->start, 'started');
is($s->get("/$_")->{status}, 200, "/$_ answers") for qw(a b g);

# A client of its own: a process that asks until told to end, and then reports
# "asked refused lost resent bad".
sub client {
    my ($keep) = @_;
    pipe my $from, my $to or die "pipe: $!";
    my $stop = "$s->{dir}/var/stop";
    my $pid  = fork // die "fork: $!";
    if ($pid) {
        close $to;
        return { pid => $pid, from => $from };
    }
    close $from;
    alarm 0;
    my %n = map { $_ => 0 } qw(asked refused lost resent bad);
    my $conn;
    my @why;
    until (-e $stop) {
        my $fresh = !$conn;
        $conn ||= $s->connect;
        if (!$conn) {
            $n{refused}++;
            next;
        }
        $n{asked}++;
        my $path = ('/a', '/b', '/g')[ $n{asked} % 3 ];
        $conn->send(PWTest::HTTP::head(path => $path,
            headers => [ $keep ? () : (Connection => 'close') ]));
        my $a = eval { $conn->response } || { status => 0, reason => $@ };
        if (!$a->{status} && !$fresh && !length $conn->{buf}) {
            $n{resent}++;
            undef $conn;
            next;
        }
        if (!$a->{status} || !$a->{complete}) {
            $n{lost}++;
            push @why, $path;
            undef $conn;
        }
        elsif ($a->{status} != 200) {
            $n{bad}++;
            push @why, $a->{status};
        }
        undef $conn if !$keep || lc($a->{h}{connection} // '') eq 'close';
    }
    syswrite $to, "@n{qw(asked refused lost resent bad)} @why[0 .. ($#why > 9 ? 9 : $#why)]\n";
    POSIX::_exit(0);
}
my @clients = map { client($_) } (1, 1, 0, 0);

my ($rss, @slow);
for my $round (1 .. $rounds) {
    my @old = $s->children;
    my $from = time;
    $s->signal('USR1');
    # The next restart comes when a new child serves.
    my $served = wait_for {
        my $i = $s->get_json('/a');
        $i->{pid} && !grep { $_ == $i->{pid} } @old;
    } 30;
    ok($served, "round $round: a new child serves") if !$served;
    push @slow, time - $from;
    # The first rounds may fill caches.
    $rss = process_rss($s->{pid}) if $round == ($rounds > 10 ? 5 : 2);
}
my $more = process_rss($s->{pid}) - $rss;
write_text("$s->{dir}/var/stop", '');
my %sum;
for my $client (@clients) {
    my $line = readline $client->{from};
    waitpid $client->{pid}, 0;
    my @n = split ' ', $line // '';
    $sum{$_} += shift(@n) // 0 for qw(asked refused lost resent bad);
    diag("why: @n") if @n;
}
diag("$rounds graceful restarts, $sum{asked} requests, $sum{resent} sent again,"
    . " parent $more KB more, longest round "
    . sprintf('%.2f s', (sort { $b <=> $a } @slow)[0]));
cmp_ok($sum{asked}, '>', $rounds, 'requests were made');
is($sum{refused}, 0, 'no connection was refused');
is($sum{lost}, 0, 'no request was lost');
is($sum{bad}, 0, 'every answer was 200');
cmp_ok($more, '<', 700 + 10 * $rounds, "the parent did not grow: $more KB")
    if !$ENV{PW_T_SANITIZER};
is(scalar(grep { !/:warn\]/ } $s->lines(qr/PW01\d\d.*(?:did not stop|no thread)/)), 0,
    'every child ended in time');
ok(wait_for { $s->children <= (threaded() ? 2 : 10) }, 'old children are gone');

subtest 'a bad configuration leaves the old one serving' => sub {
    # httpd's own rule is to end at a restart with a bad configuration, so this
    # is about what an operator runs before: -t.
    my $old = $s->{conf};
    my ($status, $said);
    {
        local $s->{conf} = "WSGIScriptAlias / \@APPS\@/info.py interpreter=no";
        ($status, $said) = $s->run('-t');
    }
    isnt($status, 0, 'httpd -t refuses it');
    $s->write_conf($old);
    is($s->get('/a')->{status}, 200, 'the server serves on');
};

subtest 'a changed configuration takes effect' => sub {
    $s->write_conf($s->{conf} . "WSGIScriptAlias /new \@APPS\@/info.py\n");
    $s->signal('USR1');
    ok(wait_for { $s->get('/new')->{status} == 200 }, 'the new mount serves');
};

ok(defined $s->stop, 'and it stops');

finish();

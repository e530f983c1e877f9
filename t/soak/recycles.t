# SPDX-License-Identifier: Apache-2.0
# Instances of a Flask application are replaced again and again under load: no
# request fails, and no memory is left behind (CPython 3.14 and later).
use PWTest;
use PWTest::Server;
use POSIX ();

plan skip_all => 'needs CPython 3.14' if !python_at_least(14);
plan skip_all => 'needs threads' if !threaded();
my $times  = $ENV{PW_SOAK_RECYCLES} || 100;
my $settle = 50;
alarm 0;
# httpd's, on a busy machine: all of the few threads were busy at once.
announce(qr/AH00484/);

my $s = PWTest::Server->new(name => 'recycles', conf => <<'END_CONF');
<WSGIInterpreter flask>
    WSGIPythonHome @VENVS@/web
    WSGISetEnv PW_VAR @DIR@/var
    WSGIMaxRequests 1
</WSGIInterpreter>
WSGIScriptAlias / @APPS@/flaskapp.py interpreter=flask
END_CONF
ok($s->start, 'started');
is($s->get('/')->{status}, 200, 'it answers') or do { $s->stop; finish(); exit };
my ($pid) = $s->children;
my $stop = "$s->{dir}/var/stop";

sub client {
    pipe my $from, my $to or die "pipe: $!";
    my $child = fork // die "fork: $!";
    if ($child) {
        close $to;
        return { pid => $child, from => $from };
    }
    my ($good, $bad, $first) = (0, 0, '');
    until (-e $stop) {
        my $a = eval { $s->get('/') } || { status => "died: $@" };
        $a->{status} eq '200' ? $good++ : $bad++;
        $first ||= $a->{status} if $a->{status} ne '200';
        # More of them would only take the processor from the replacements.
        wait_for { -e $stop } 0.02;
    }
    syswrite $to, "$good $bad $first";
    POSIX::_exit(0);
}

sub recycled {
    open my $log, '<', $s->{log} or die "$s->{log}: $!";
    my $n = grep { /PW0200 flask/ } <$log>;
    close $log;
    return $n;
}

# The least while so many more are replaced: at other moments there are two.
sub least_rss {
    my ($pid, $during) = @_;
    my $until = recycled() + $during;
    my $least;
    wait_for {
        my $now = process_rss($pid);
        $least = $now if !defined $least || $now < $least;
        recycled() >= $until;
    } 600;
    return $least;
}

my @clients = map { client() } 1 .. 3;
ok((wait_for { recycled() >= $settle } 600), "$settle replaced");
my $before = least_rss($pid, 30);
my $from   = recycled();
ok((wait_for { recycled() >= $from + $times } 60 + 4 * $times), "$times more");
my $n    = recycled() - $from;
my $more = least_rss($pid, 30) - $before;
write_text($stop, 'stop');
my ($good, $bad) = (0, 0);
for my $c (@clients) {
    my ($g, $b, $first) = split ' ', readline($c->{from}) // '0 1 nothing', 3;
    waitpid $c->{pid}, 0;
    ($good, $bad) = ($good + $g, $bad + $b);
    diag("a failed request: $first") if $b;
}
is($bad, 0, "none of $good requests failed");
# Of a few, what one instance has more or less than the next.
diag("$more KB more after $n instances");
cmp_ok($more, '<', $n < 1000 ? 20 * $n + 6000 : 20 * $n, "$more KB more after $n instances");
$s->stop;
my ($counters) = $s->lines(qr/PW0190/);
my %count = map { /(\w+)=(\d+)/ ? ($1 => $2) : () } split ' ', $counters;
is($count{instances_parked}, 0, 'nothing was parked');
is($count{tstates_freed}, $count{tstates_created}, 'every thread state is gone');

finish();

# SPDX-License-Identifier: Apache-2.0
# What headers of earlier requests an interpreter keeps is never seen in a later one:
# runs of requests of which each has one header more, less or other than the last
# run, and what environ has of them against what was sent. The seed is printed;
# PW_REPEAT_SEED repeats a run.
use PWTest;
use PWTest::Server;

my $seed = $ENV{PW_REPEAT_SEED} || time;
diag("PW_REPEAT_SEED=$seed");
srand $seed;

my $server = PWTest::Server->new(name => 'repeat', conf => <<'END_CONF');
WSGIScriptAlias / @DIR@/apps/said.py application-group=said
RequestHeader add Accept two "expr=-n %{HTTP:X-Two}"
SetEnvIf X-Env (.+) HTTP_PRIORITY=$1
END_CONF
$server->app('said.py', <<'END_APP');
def application(environ, start_response):
    said = sorted((k, v) for k, v in environ.items() if k.startswith("HTTP_"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["\n".join("%s=%s" % one for one in said).encode("latin-1")]
END_APP
ok($server->start, 'started');

# Each in two spellings: of one key, but told apart where they are kept.
my @names = qw(Accept User-Agent DNT Cache-Control Priority Sec-Fetch-Mode Accept-Language
    Upgrade-Insecure-Requests Sec-GPC X-Two X-Env Cookie X-Own);
my %sent;    # lower case => [ name, value ]

# Now from the client, now from httpd, under one name.
sub hand_over {
    my ($from, $to) = rand() < 0.5 ? qw(priority x-env) : qw(x-env priority);
    delete $sent{$from};
    $sent{$to} = [ $to, 'a' ];
}

sub change {
    return hand_over() if rand() < 0.15;
    my $name = $names[ rand @names ];
    if (rand() < 0.3) {
        delete $sent{ lc $name };
        return;
    }
    my $value = (qw(a b two), 'x' x 300, "\xe9")[ rand 5 ];
    $sent{ lc $name } = [ rand() < 0.3 ? lc $name : $name, $value ];
}

sub expected {
    my %env = (HTTP_HOST => 'localhost');
    for my $lc (keys %sent) {
        $env{ 'HTTP_' . uc($lc =~ tr/-/_/r) } = $sent{$lc}[1];
    }
    $env{HTTP_ACCEPT} = join ', ', grep { defined } $env{HTTP_ACCEPT}, 'two' if $sent{'x-two'};
    $env{HTTP_PRIORITY} //= $sent{'x-env'}[1] if $sent{'x-env'};
    return join "\n", map { "$_=$env{$_}" } sort keys %env;
}

my ($asked, $wrong, $conn) = (0, 0);

sub ask {
    my ($times, $run) = @_;
    my $expected = expected();
    for my $time (1 .. $times) {
        $conn ||= $server->connect;
        $conn->send(PWTest::HTTP::head(path => '/', host => 'localhost',
            headers => [ map { @$_ } values %sent ]));
        my $a = $conn->response;
        undef $conn if lc($a->{h}{connection} // '') eq 'close';
        $asked++;
        next if $a->{status} == 200 && $a->{body} eq $expected;
        diag("run $run, request $time: $a->{status}\n$a->{body}\nbut expected\n$expected")
            if !$wrong++;
    }
}

# Kept is 'a', the last value was httpd's.
my @first = ([ 20, accept => 'a' ], [ 1, accept => 'a', 'x-two' => 1 ], [ 2, accept => 'two' ]);
for my $step (@first) {
    my ($times, %now) = @$step;
    %sent = map { ($_ => [ ucfirst, $now{$_} ]) } keys %now;
    ask($times, 'first');
}
for my $run (1 .. 150) {
    change() for 0 .. rand 2;
    ask(1 + int rand 14, $run);
}
is($wrong, 0, "of $asked requests each had its own headers");
$server->stop;

finish();

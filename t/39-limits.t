# SPDX-License-Identifier: Apache-2.0
# The directives that say how much an interpreter may take: what is refused, what
# is derived, and the warnings of a start.
use PWTest;
use PWTest::Server;
use JSON::PP qw(decode_json);

my $own_gil = python_at_least(13);
my $check   = PWTest::Server->new(name => 'limits', conf => '');
my $info    = '@APPS@/info.py';

# ---- what is refused -----------------------------------------------------

my @lines = (
    { name => 'no number', conf => 'WSGIInstances many' },
    { name => 'no instance', conf => 'WSGIInstances 0' },
    { name => 'too many instances', conf => 'WSGIInstances 65' },
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
    { name => 'none may be parked', conf => 'WSGIParkLimit 0' },
    { name => 'no buffer', conf => 'WSGIRequestBuffer 64K' },
);
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

# ---- what is derived -----------------------------------------------------

sub interpreters_of {
    my ($said) = @_;
    my ($json) = $said =~ /^(\{.*\})/ms;
    return { map { $_->{name} => $_ } @{ decode_json($json)->{interpreters} } };
}

sub dump_of {
    my ($conf) = @_;
    $check->{conf} = $conf;
    my ($status, $said) = $check->run('-t', '-D', 'DUMP_POLYWSGI');
    return interpreters_of($said);
}

my $a    = "WSGIScriptAlias /a $info application-group=a\n";
my $b    = "WSGIScriptAlias /b $info application-group=b\n";
my $main = "WSGIScriptAlias /a $info application-group=%{GLOBAL}\n";

subtest 'derived limits' => sub {
    plan skip_all => 'a child of prefork has one thread' if !threaded();
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
};

subtest 'what is said or left out' => sub {
    my $out = dump_of($a)->{a};
    is_deeply($out->{instances}, [ 1, 1 ], 'one instance');
    is("@$out{qw(max_requests idle_timeout queue_timeout request_buffer park_limit)}",
        '0 0 5 65536 8', 'the other defaults');
    is($out->{thread_states}, undef, 'of as many threads as there are');
    my $said = dump_of("WSGIMaxRequests 7\nWSGIIdleTimeout 9s\nWSGIQueueTimeout 250ms\n"
        . "WSGIRequestBuffer 0\nWSGIParkLimit 1\nWSGIThreadStates 4\n$a")->{a};
    is("@$said{qw(max_requests idle_timeout queue_timeout request_buffer park_limit
        thread_states)}", '7 9 0.25 0 1 4', 'what is said');
    is_deeply(dump_of("WSGIInstances 3\n$main")->{'%{GLOBAL}'}{instances}, [ 1, 1 ],
        'the main interpreter is one');
};

subtest 'as many instances as processors' => sub {
    plan skip_all => 'no taskset' if system('taskset -p $$ >/dev/null 2>&1') != 0;
    my ($list) = read_text('/proc/self/status') =~ /^Cpus_allowed_list:\s+(\S+)/m;
    my $cores = 0;
    $cores += 1 + ($2 // $1) - $1 while $list =~ /(\d+)(?:-(\d+))?/g;
    my $most = dump_of("WSGIInstances 1-auto\n$a")->{a}{instances}[1];
    ok($most >= 1 && $most <= $cores, "$most of $cores");
    my ($one) = $list =~ /^(\d+)/;
    local $ENV{PW_T_ONE} = $one;
    local $ENV{PW_T_CONF} = "$check->{dir}/httpd.conf";
    my $said = qx(taskset -c "\$PW_T_ONE" "\$PW_T_HTTPD" -f "\$PW_T_CONF" -t -D DUMP_POLYWSGI 2>&1);
    is_deeply(interpreters_of($said)->{a}{instances}, [ 1, 1 ], 'on one processor: one');
    $check->write_conf("WSGIInstances 3-auto\n$a");
    $said = qx(taskset -c "\$PW_T_ONE" "\$PW_T_HTTPD" -f "\$PW_T_CONF" -t -D DUMP_POLYWSGI 2>&1);
    is_deeply(interpreters_of($said)->{a}{instances}, [ 3, 3 ], 'but no fewer than MIN');
};

# ---- the warnings of a start ---------------------------------------------

sub alone {
    my ($name, @said) = @_;
    return join "\n", "<WSGIInterpreter $name>", @said, "</WSGIInterpreter>\n";
}

my $shared = 'WSGIIsolation shared-gil';
my $gil    = qr/PW0021 a: WSGIInstances asks for 2 instances, but those of isolation shared-gil/;
my $one    = qr/PW0021 \S+: WSGIInstances asks for \d instances, but the main inter/;
my $ends   = qr/PW0022 a: WSGIMaxRequests and WSGIIdleTimeout have no effect: Python 3\./;
my $stays  = qr/PW0022 \S+: WSGIMaxRequests and WSGIIdleTimeout have no effect: the main interpreter ends/;

# says: the records PW002x of a start, in no order; a child of prefork has one
# thread, so that there no limits are added up.
sub sum {
    my ($sum, $have, $word) = @_;
    return if !threaded();
    return qr/PW0023 .* adds up to $sum threads of a child, which has $have \($word\): /;
}
my @starts = (
    { name => 'nothing said', conf => "$a$b" },
    { name => 'two instances', conf => alone('a', 'WSGIInstances 2') . $a,
        says => [ $own_gil ? () : $gil ] },
    { name => 'two that share a GIL', conf => alone('a', $shared, 'WSGIInstances 2') . $a,
        says => [$gil] },
    { name => 'up to two that share a GIL', says => [$gil],
        conf => alone('a', $shared, 'WSGIInstances 1-2') . $a },
    { name => 'one that would share a GIL', conf => alone('a', $shared, 'WSGIInstances 1') . $a },
    { name => 'two main interpreters', says => [$one],
        conf => alone('a', 'WSGIIsolation main', 'WSGIInstances 2') . $a },
    { name => 'main among all', says => [$one], conf => "WSGIInstances 1-3\n$main" },
    { name => 'one main interpreter', conf => "WSGIInstances 1\n$main" },
    { name => 'replaced', conf => alone('a', 'WSGIMaxRequests 9') . $a,
        says => [ $own_gil ? () : $ends ] },
    { name => 'unloaded', conf => alone('a', 'WSGIIdleTimeout 9') . $a,
        says => [ $own_gil ? () : $ends ] },
    { name => 'main replaced', says => [$stays],
        conf => alone('a', 'WSGIIsolation main', 'WSGIMaxRequests 9') . $a },
    { name => 'main unloaded', says => [$stays],
        conf => alone('a', 'WSGIIsolation main', 'WSGIIdleTimeout 9') . $a },
    { name => 'main replaced, as all', says => [$stays], conf => "WSGIMaxRequests 9\n$main" },
    { name => 'main never replaced', conf => alone('a', 'WSGIIsolation main', 'WSGIMaxRequests 0')
            . "WSGIMaxRequests 9\n$a" },
    { name => 'never replaced', conf => alone('a', 'WSGIMaxRequests 0') . $a },
    { name => 'scripts that requests find', path => '/a/info.py',
        conf => "$shared\nWSGIInstances 2\nWSGIScriptAlias /a \@APPS\@/\n",
        says => [qr/PW0021 scripts that requests find: WSGIInstances asks for 2 /] },
    { name => 'all threads', conf => "WSGIConcurrency 6\nWSGIQueueLimit 2\n$a$b",
        says => [ sum(16, 16, 'ThreadsPerChild') ] },
    { name => 'one less', conf => "WSGIConcurrency 6\n$a$b"
            . alone('a', 'WSGIQueueLimit 2') . alone('b', 'WSGIQueueLimit 1') },
    { name => 'times the instances', conf => "$a$b" . alone('b', 'WSGIConcurrency 2')
            . alone('a', 'WSGIInstances 1-4', 'WSGIConcurrency 3', 'WSGIQueueLimit 0'),
        says => [ sum(16, 16, 'ThreadsPerChild'), $own_gil ? () : qr/PW0021 a: / ] },
    { name => 'a queue only', conf => alone('a', 'WSGIQueueLimit 10') . "$a$b",
        says => [ sum(16, 16, 'ThreadsPerChild') ] },
    { name => 'a shorter queue', conf => alone('a', 'WSGIQueueLimit 9') . "$a$b" },
    { name => 'no longer than derived', conf => "WSGIQueueLimit 2\n$a$b" },
    { name => 'an interpreter alone', conf => "WSGIConcurrency 20\n$a" },
);
# mod_http2 hangs at the end of a child where the least is above the most.
push @starts, (
    { name => 'all of HTTP/2', conf => "H2MinWorkers 4\nH2MaxWorkers 12\nWSGIConcurrency 4\n"
            . "WSGIQueueLimit 2\n$a$b", says => [ sum(12, 12, 'H2MaxWorkers') ] },
    { name => 'more for HTTP/2 than there are', conf => "H2MaxWorkers 64\n"
            . "WSGIConcurrency 6\nWSGIQueueLimit 2\n$a$b",
        says => [ sum(16, 16, 'ThreadsPerChild') ] },
) if threaded() && PWTest::Server::has('http2');

announce(qr/PW002[123]/);
my $server = PWTest::Server->new(name => 'limits-start', conf => '');
cases(sub {
    my ($case) = @_;
    my $mark = log_mark($server->{log});
    $server->{conf} = "WSGIPreload off\n$case->{conf}";
    ok($server->start, 'it starts');
    is($server->get($case->{path} || '/a')->{status}, 200, 'and answers'); # the warnings are out then
    $server->stop;
    my @said = grep { /PW002[123]/ } log_since($mark, $server->{log});
    my @says = @{ $case->{says} || [] };
    is(@said, @says, 'as many warnings as expected') or diag(join "\n", @said);
    for my $pattern (@says) {
        ok(scalar(grep { $_ =~ $pattern } @said), "$pattern");
    }
}, @starts);

finish();

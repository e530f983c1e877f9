# SPDX-License-Identifier: Apache-2.0
# Many clients at once over all applications: threads, interpreters, bodies,
# aborted requests. Its use is under a sanitizer.
use PWTest;
use POSIX ();

my $clients = $ENV{PW_STRESS_CLIENTS} || 8;
my $rounds  = $ENV{PW_STRESS_ROUNDS}  || ($ENV{PW_T_SANITIZER} ? 12 : 40);
alarm 600;
write_text("$ENV{PW_T_DIR}/var/stress.bin", 's' x 300000);
my $file = join '', map { sprintf '%%%02x', ord } split //,
    '{"file":"stress.bin","token":"stress-file"}';

# path, options, expected status (0: the client leaves before the answer).
my @work = (
    ['/info', [], 200], ['/gilled', [], 200], ['/global', [], 200],
    ['/kit/plain?s', [], 200], ['/kit/generator?s', [], 200],
    ['/kit/write?s', [], 200], ['/raw/big?s', [], 200],
    ['/raw/fail?s', [], 500], ['/raw/fail_first?stress-log', [], 500],
    ['/raw/fail_second?stress-log', [], 200, 'incomplete'],
    ['/red/look', [], 200], ['/blue/look', [], 200],
    ['/red/mark?s', [], 200], ['/share/a', [], 200], ['/share/b', [], 200],
    ['/module/x', [], 200], ["/raw/wrapped?$file", [], 200],
    ['/deflate/big?s', [ headers => [ 'Accept-Encoding' => 'gzip' ] ], 200],
    ['/kit/digest', [ method => 'PUT', body => 'd' x 200000 ], 200],
    ['/kit/unread', [ method => 'POST', body => 'd' x 20000 ], 200],
    ['/raw/endless?stress-log', [], 0],
    ['/', [ host => 'flask.test' ], 200],
    ['/stream', [ host => 'flask.test' ], 200],
    ['/admin/login/', [ host => 'django.test' ], qr/200|500/],
);
announce(qr/PW0401.*\/raw\/fail/, qr/PW0402/, qr/PW040[12] raw.* \| /,
    qr/PW0501 django/, qr/PW0501.*login/);

announce(qr/AH00161/) if !threaded();

sub once {
    my ($path, $options, $want, $incomplete) = @_;
    if ($want eq '0') {
        my $conn = PWTest::HTTP->new(port => $ENV{PW_T_PORT})
            or return 'no connection';
        $conn->send(PWTest::HTTP::head(path => $path));
        $conn->read_head;
        $conn->close;
        return '';
    }
    my $a = request(path => $path, @$options);
    my $good = ref $want ? $a->{status} =~ $want : $a->{status} == $want;
    return "$path: status $a->{status} ($a->{reason})" if !$good;
    return "$path: incomplete" if !$incomplete && !$a->{complete};
    return "$path: complete" if $incomplete && $a->{complete};
    return '';
}

my @children;
for my $n (1 .. $clients) {
    pipe my $from, my $to or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        alarm 580;
        my $bad = 0;
        my $first = '';
        my $at = $n * 3;
        for (1 .. $rounds) {
            my $said = eval { once(@{ $work[ $at++ % @work ] }) } // "died: $@";
            $first ||= $said;
            $bad++ if $said;
        }
        syswrite $to, "$bad $first";
        POSIX::_exit(0);
    }
    close $to;
    push @children, { pid => $pid, from => $from };
}
for my $child (@children) {
    my $said = readline $child->{from};
    waitpid $child->{pid}, 0;
    my ($bad, $first) = split ' ', $said // 'none nothing reported', 2;
    is($bad, 0, "$rounds requests of one client") or diag($first);
}
is(get('/kit/plain?s')->{status}, 200, 'the server is well after it');

finish();

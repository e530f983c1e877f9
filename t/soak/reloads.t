# SPDX-License-Identifier: Apache-2.0
# An application that fails to load again and again, each time in a fresh
# interpreter, leaves no memory behind (CPython 3.14 and later).
use PWTest;
use PWTest::Server;

my $info = info();
my ($minor) = $info->{python} =~ /^3\.(\d+)/;
plan skip_all => 'needs own-gil' if $info->{isolation} ne 'own-gil';
plan skip_all => 'needs one process' if !threaded();
my $times = $ENV{PW_SOAK_SWAPS} || 30;

my $s = PWTest::Server->new(name => 'reloads',
    conf => 'WSGIScriptAlias / @DIR@/apps/a.py');
announce(qr/PW0201/);
my $serial = 0;
my $fail = sub {
    $s->app('a.py', "import json, logging, datetime, decimal\n"
        . "raise ValueError('round " . ++$serial . "')\n");
    return wait_for {
        $s->get('/')->{status} == 500
            && $s->lines(qr/PW0201.*ValueError: round $serial\b/);
    };
};
$s->app('a.py', "raise ValueError('round 0')\n");
ok($s->start, 'started');
ok($fail->(), 'failed') for 1 .. 10;
my ($pid) = $s->children;

# The last that failed stays until the next try. Those before may still be ending on
# a busy machine, each of 3 MB.
sub alone_rss {
    wait_for {
        $s->lines(qr/instance \d+ has ended/) >= $s->lines(qr/instance \d+ made/) - 1;
    } if $minor >= 14;
    return process_rss($pid);
}
my $before = alone_rss();
for (1 .. $times) {
    $fail->() or ok(0, "round $serial failed as it should");
}
my $more = alone_rss() - $before;
diag("$more KB more after $times fresh interpreters");
cmp_ok($more, '<', 100 * $times + 4000, "$more KB more") if $minor >= 14;
$s->app('a.py', "def application(e, s):\n    s('200 OK', [])\n    return []\n");
ok(wait_for { $s->get('/')->{status} == 200 }, 'mended, it serves');
$s->stop;

finish();

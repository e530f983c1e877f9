# SPDX-License-Identifier: Apache-2.0
# Many requests leave no memory behind.
use PWTest;
use PWTest::Server;

my ($h2load) = grep { -x } map { "$_/h2load" } split /:/, $ENV{PATH};
plan skip_all => 'no h2load (nghttp2-client)' if !$h2load;
plan skip_all => 'needs one process' if !threaded();
my $total = $ENV{PW_SOAK_REQUESTS} || 10000;

my $s = PWTest::Server->new(name => 'requests', conf => <<'END');
MaxKeepAliveRequests 0
WSGIScriptAlias /a @APPS@/info.py
WSGIScriptAlias /k @APPS@/kit.py callable-object=raw
END
ok($s->start, 'started');

for my $path ('/a', '/k/several', '/k/generator') {
    my $load = sub {
        my ($n) = @_;
        my $said = qx($h2load --h1 -c 8 -t 1 -n $n http://127.0.0.1:$s->{port}$path 2>&1);
        my ($ok) = $said =~ /(\d+) 2xx/;
        is($ok, $n, "$path: $n requests") or diag($said);
    };
    $load->(4000);
    my ($pid)  = $s->children;
    my $before = process_rss($pid);
    $load->($total);
    is(($s->children)[0], $pid, 'the same child');
    my $more = process_rss($pid) - $before;
    diag("$path: $more KB more after $total requests");
    cmp_ok($more, '<', 1000, "$path: $more KB more");
}
$s->stop;

finish();
